"""What outlives the program: guests and tasks in one JSON file, replaced atomically."""

import json
import os

from fakepve import FakeVm

KEPT = ('vmid', 'name', 'node', 'status', 'config', 'pending', 'snapshots', 'lock', 'template', 'ha_state')


def save(path, pve):
    """Writes the state; a killed program leaves the old file or the new one."""
    state = {'guests': [{key: getattr(vm, key) for key in KEPT} for vm in pve.vms], 'tasks': pve.tasklog[-500:]}
    part = path + '.part'
    with open(part, 'w', encoding='utf-8') as out:
        json.dump(state, out)
    os.replace(part, path)


def load(path, pve):
    """Brings the guests and tasks back; False where there is no file."""
    if not path or not os.path.exists(path):
        return False
    with open(path, encoding='utf-8') as file:
        state = json.load(file)
    for kept in state['guests']:
        vm = FakeVm(kept['vmid'], kept['name'], node=kept['node'], status=kept['status'], config=kept['config'],
                    pending=kept['pending'], template=kept['template'], lock=kept['lock'])
        vm.snapshots, vm.ha_state = kept['snapshots'], kept['ha_state']
        pve.vms.append(vm)
    for task in state['tasks']:
        if task['status'] == 'running':
            # The worker died with the program: PVE then finds no last line in its log.
            task.update(status='stopped', exitstatus='unexpected status', endtime=task['starttime'])
        pve.tasks[task['upid']] = task
        pve.tasklog.append(task)
    return True

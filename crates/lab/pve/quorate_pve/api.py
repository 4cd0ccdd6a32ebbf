"""The API: `fakepve` with the lab's disks, power, and the ends of tasks that it gets wrong."""

import asyncio
import itertools
import json
import logging
import os
import time

from fakepve import FakePve, PveError, TaskError
from fakepve.server import error, ok, params

from . import drive, state
from .config import ConfigApi
from .control import Control
from .disks import Disks
from .power import Power


# `local` takes import images; every other storage takes disks, under the names of a block storage.
STORES = {'local': {'type': 'dir', 'active': 1, 'files': set(), 'content': 'import'},
          '': {'type': 'lvmthin', 'active': 1, 'files': (), 'content': 'images', 'vgname': 'lab', 'thinpool': 'lab'}}


class QuoratePve(Control, ConfigApi, FakePve):
    """A node with real disk files, and real power where there is a hook."""

    def __init__(self, settings):
        super().__init__(host=settings['listen'], port=settings.get('port', 8006), password=os.urandom(16).hex())
        self._control_init()
        self.controlled = settings.get('control', False)
        self.state_file = settings.get('state')
        self.power = Power(settings['power']) if settings.get('power') else None
        self.time_scale = 1.0
        self.ha_delay = settings.get('ha_delay', self.ha_delay)
        self.nodes = {settings['node']: {'online': True}}
        self.apitokens['{}!{}'.format(settings['user'], settings['token_id'])] = settings['token_secret']
        for path, rights in settings.get('rights', {}).items():
            self.grant(settings['user'], path, *rights)
        self.storages = {sid: dict(STORES.get(sid, STORES['']), path=path) for sid, path in settings['storages'].items()}
        self.disks = Disks(self.storages)
        self.disks.scan()
        if not state.load(self.state_file, self):
            for guest in settings['guests']:
                self._first(guest, settings['node'])
        # UPIDs name tasks for ever: a process id must not come back.
        self._pids = itertools.count(1000 + len(self.tasklog) + int(time.time()) % 100000)
        self.save()

    def _first(self, guest, node):
        config = {
            'scsi0': drive.show(guest['disk'], {'discard': 'on', 'size': drive.show_size(guest['size'])}),
            'scsihw': 'virtio-scsi-single', 'boot': 'order=scsi0;net0', 'ostype': 'l26', 'onboot': 1,
            'net0': 'virtio={},bridge=vmbr0'.format(guest['mac'].upper()), 'smbios1': 'uuid=' + guest['uuid'],
            'cores': guest.get('cores', 1), 'memory': guest.get('memory', 512)}
        self.add_vm(guest['vmid'], guest['name'], node=node, config=config)

    def save(self):
        """Writes the state file, where there is one."""
        if self.state_file:
            state.save(self.state_file, self)

    # -------------------------------------------------------------- requests

    async def _answer(self, request, handler, generic, path_node):
        """Looks at the real power first, and saves what a request changed."""
        race = self._due(self.races, request)
        if race:
            for key, value in race['set'].items():
                self._set(self.guest(int(race['vmid'])), key, value)
        try:
            await self._look(request)
        except TaskError as failed:
            return error(500, str(failed))
        response = await super()._answer(request, handler, generic, path_node)
        if request.method != 'GET':
            self.save()
        if self._due(self.lost_replies, request):
            request.transport.abort()
        return response

    async def _look(self, request):
        """Status is what the hook says, whoever switched the host on or off."""
        if self.power is None:
            return
        vmid = request.match_info.get('vmid')
        listed = request.path.endswith(('/cluster/resources', '/qemu'))
        for vm in self.vms:
            if listed or vmid == str(vm.vmid):
                self._note_power(vm, await self.power.is_on(vm.name))

    @staticmethod
    def _note_power(vm, running):
        if running != (vm.status == 'running'):
            vm.status = vm.qmpstatus = 'running' if running else 'stopped'
            vm.started_at = time.time() if running else None

    # ----------------------------------------------------------------- tasks

    async def task(self, node, ttype, tid, user, body, vm=None, lock=True, log=()):
        """A task always ends: whatever its body raises is its exit status."""
        async def guarded():
            try:
                return await self._befall(ttype, body)
            except TaskError:
                raise
            except PveError as failed:
                raise TaskError(failed.message) from failed
            except Exception as failed:  # a worker that dies is a failed task, never one that runs for ever
                logging.exception('%s of %s', ttype, tid)
                raise TaskError(str(failed) or type(failed).__name__) from failed
            finally:
                # After the task's own record is closed, which happens without another await.
                loop.call_soon(self.save)
        loop = asyncio.get_running_loop()
        return await super().task(node, ttype, tid, user, guarded, vm=vm, lock=lock, log=log)

    def _get_task(self, request):
        if request.match_info['upid'] not in self.tasks:
            raise PveError(400, 'Parameter verification failed.', {'upid': 'no such task'})
        return super()._get_task(request)

    async def _task_list(self, request):
        """`source=active` lists what still runs; the default lists what has ended."""
        source = (await params(request)).get('source', 'archive')
        listed = self.tasklog
        try:
            self.tasklog = [task for task in listed if source == 'all' or (source == 'active') == (task['status'] == 'running')]
            response = await super()._task_list(request)
        finally:
            self.tasklog = listed
        if source == 'archive':
            return response
        running = {task['upid'] for task in listed if task['status'] == 'running'}
        return ok([dict(task, status='RUNNING') if task['upid'] in running else task for task in json.loads(response.text)['data']])

    # ----------------------------------------------------------------- power

    def _boot_disk(self, vm):
        for device in drive.boot_order(vm.config) or []:
            if drive.DRIVE.match(device) and device in vm.config and not drive.is_cdrom(vm.config[device]):
                path = self.disks.path(drive.parse(vm.config[device])[0])
                if path and os.path.exists(path):
                    return path
        raise TaskError('no bootable device: boot order {!r}'.format(vm.config.get('boot')))

    async def _switch_on(self, vm):
        self._settle(vm)
        await self.power.call(vm.name, 'on', '--disk', self._boot_disk(vm))
        self._note_power(vm, True)

    async def _do_start(self, vm, user, p):
        if self.power is None or vm.ha_managed:
            return await super()._do_start(vm, user, p)

        async def body():
            if vm.lock:
                raise TaskError('VM is locked ({})'.format(vm.lock))
            if await self.power.is_on(vm.name):
                raise TaskError('VM {} already running'.format(vm.vmid))
            await self._switch_on(vm)
        return await self.task(vm.node, 'qmstart', vm.vmid, user, body, vm=vm)

    async def _do_stop(self, vm, user, p):
        if self.power is None or vm.ha_managed:
            return await super()._do_stop(vm, user, p)
        self._check_lock(vm)

        async def body():
            await self.power.call(vm.name, 'off')
            self._note_power(vm, False)
        return await self.task(vm.node, 'qmstop', vm.vmid, user, body, vm=vm)

    async def _do_shutdown(self, vm, user, p):
        """A stopped VM: the task ends OK. A paused one is refused unless it may be stopped."""
        force = str(p.get('forceStop', '0')) in ('1', 'true')
        if vm.qmpstatus == 'paused':
            if not force:
                raise PveError(500, 'VM is paused - cannot shutdown')
            return await self._do_stop(vm, user, p)
        if vm.ha_managed:
            return await self._ha_request(vm, user, 'stopped')

        async def body():
            if vm.lock:
                raise TaskError('VM is locked ({})'.format(vm.lock))
            if vm.status != 'running':
                return None
            if self.power is None:
                return await self._powerdown(vm, p)
            timeout = int(p.get('timeout') or self.shutdown_default_timeout)
            said = await self.power.shut_down(vm.name, timeout, force)
            self._note_power(vm, False)
            return said
        return await self.task(vm.node, 'qmshutdown', vm.vmid, user, body, vm=vm)

    async def _ha_request(self, vm, user, state):
        """The task ends at once; the HA stack acts later."""
        if self.power is None:
            return await super()._ha_request(vm, user, state)

        async def later():
            await self.pause(self.ha_delay)
            if state == 'started':
                await self._switch_on(vm)
            else:
                await self.power.shut_down(vm.name, self.shutdown_default_timeout, True)
                self._note_power(vm, False)
            vm.ha_state = state
            self.save()

        async def body():
            self._ha_work = asyncio.ensure_future(later())
        return await self.task(vm.node, 'hastart' if state == 'started' else 'hastop', vm.vmid, user, body, lock=False)

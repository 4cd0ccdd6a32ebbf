# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task of ours over ssh against `raw`, against Ansible's own ping and against the same program sent as Ansible sends it, taking turns in one play.

Prints one line of JSON: a list of {group, name, value, unit, against, against_value, ratio}. A task's time is from its start to its last result, on the controller.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from conftest import Controller, Target

ROUNDS = 20
COLD_ROUNDS = 5
HOSTS = 10
BUDGET_MIB = 12
STAGE = Path(os.environ['QUORATE_STAGE'])
PROGRAM = STAGE / 'ansible_collections/quorate/controlplane/bin/x86_64/quorate'
CALLBACKS = Path(os.environ['QUORATE_CALLBACKS'])


def kinds(directory):
    """What is compared: tasks that find nothing to do, and say so."""
    args = {'state': 'listed', 'dest': directory}
    return {
        'raw': {'ansible.builtin.raw': 'true'},
        'ours': {'quorate.controlplane.etcd_snapshot': args},
        'ping': {'ansible.builtin.ping': {}},
        'ping-put': {'ansible.builtin.ping': {}, 'vars': {'ansible_pipelining': False}},
        # The same program, found in the directory library/ beside the playbook.
        'stock': {'etcd_snapshot': args},
    }


class Counter:
    """Passes connections on and counts what is sent through them."""

    def __init__(self, port):
        self.port, self.bytes = port, 0
        self.server = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.server.accept()
            far = socket.create_connection(('127.0.0.1', self.port))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                self.bytes += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other direction has ended it


class Bench:
    def __init__(self, root, target):
        self.root, self.target = root, target
        (root / 'snapshots').mkdir()
        self.kinds = kinds(str(root / 'snapshots'))
        self.controller = Controller(root, target)
        (root / 'ansible_collections').rename(root / 'unused')
        (root / 'library').mkdir()
        shutil.copy(PROGRAM, root / 'library' / 'etcd_snapshot')
        self.controller.env |= {
            'ANSIBLE_COLLECTIONS_PATH': str(STAGE),
            'ANSIBLE_PIPELINING': 'true',
            'ANSIBLE_CALLBACK_PLUGINS': f'{CALLBACKS}:{Path(__file__).parent / "callback"}',
            'ANSIBLE_CALLBACKS_ENABLED': 'quorate_steps',
            'QUORATE_STEPS': str(root / 'steps.jsonl'),
        }
        self.host = (root / 'hosts').read_text().splitlines()[0].removeprefix('h1 ')

    def inventory(self, **more):
        """Each name is a host with a connection of its own; all of them are the one target."""
        lines = [f'{name} {self.host} ansible_control_path={self.root}/cp/{name} {words}' for name, words in more.items()]
        (self.root / 'hosts').write_text('\n'.join(lines) + '\n')

    def play(self, tasks, hosts, *args):
        """How long each kind of task took, as often as it was run."""
        steps = self.root / 'steps.jsonl'
        steps.unlink(missing_ok=True)
        results, printed = self.controller.play(tasks, *args, user='root', hosts=hosts)
        wanted = len(tasks) * (HOSTS if hosts == 'ten' else 1)
        assert len(results) == wanted and not any(r.get('unreachable') or r.get('failed') for r in results), printed
        took = defaultdict(float)
        for line in steps.read_text().splitlines():
            step = json.loads(line)
            took[step['step']] = max(took[step['step']], step['seconds'])
        by_kind = defaultdict(list)
        for step, seconds in took.items():
            by_kind[step.split()[0]].append(seconds * 1000)
        return by_kind

    def rounds(self, names, count):
        return [{**self.kinds[name], 'name': f'{name} {number}'} for number in range(count) for name in names]

    def warm(self):
        """The first round opens the connection and uploads the program."""
        self.inventory(one='')
        took = self.play(self.rounds(self.kinds, ROUNDS + 1), 'one')
        took = {kind: statistics.median(all_of_it[1:]) for kind, all_of_it in took.items()}
        for against in ('raw', 'ping', 'ping-put', 'stock'):
            yield row(f'warm task, median of {ROUNDS}', took['ours'], 'ms', against, took[against])

    def cold(self):
        forget = {'ansible.builtin.raw': 'rm -rf /root/.cache/quorate', 'changed_when': False, 'name': 'forget'}
        tasks = [step for number in range(COLD_ROUNDS) for step in (forget, *self.rounds(['ours', 'stock'], number + 1)[-2:])]
        took = self.play(tasks, 'one')
        yield row(f'first use, median of {COLD_ROUNDS}', statistics.median(took['ours']), 'ms', 'stock', statistics.median(took['stock']))

    def many(self):
        self.inventory(**{f'n{i}': '' for i in range(HOSTS)})
        (self.root / 'hosts').write_text('[ten]\n' + (self.root / 'hosts').read_text())
        took = self.play(self.rounds(['raw', 'ours', 'ping'], 6), 'ten', f'--forks={HOSTS}')
        took = {kind: statistics.median(all_of_it[1:]) for kind, all_of_it in took.items()}
        for against in ('raw', 'ping'):
            yield row(f'{HOSTS} hosts at -f {HOSTS}, warm', took['ours'], 'ms', against, took[against])

    def on_the_wire(self):
        """Bytes both ways and started commands, of one more warm task: what a longer play has more than a shorter one."""
        counter = Counter(self.target.port)
        port = counter.server.getsockname()[1]
        more = 10
        per_task = {}
        for kind in self.kinds:
            seen = []
            for count in (1, 1 + more):
                name = f'{kind.replace("-", "")}{count}'
                self.inventory(**{name: f'ansible_port={port}'})
                before = counter.bytes, self.target.execs()
                self.play(self.rounds([kind], count), name)
                seen.append((counter.bytes - before[0], self.target.execs() - before[1]))
            (less, few), (lots, many) = seen
            per_task[kind] = (lots - less) / more, (many - few) / more
        for against in ('raw', 'ping', 'stock'):
            yield row('bytes of a warm task', per_task['ours'][0], 'B', against, per_task[against][0])
        for against in ('raw', 'ping', 'stock'):
            yield row('round trips of a warm task', per_task['ours'][1], '', against, per_task[against][1])


def resident(root):
    """The most memory that the program had by the time it replies: it is held there by a pipe that is full.

    Not what `wait4` says: that counts what the parent had when it forked.
    """
    request = root / 'request'
    request.write_text(json.dumps({'_ansible_module_name': 'etcd_snapshot', 'state': 'listed', 'dest': str(root / 'snapshots')}))
    out, into = os.pipe()
    os.write(into, bytes(fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)))
    process = subprocess.Popen([PROGRAM, request], stdout=into)
    os.close(into)
    own = Path(f'/proc/{process.pid}')
    deadline = time.monotonic() + 20
    # "1" is the number of write(2) on x86_64.
    while not (own / 'syscall').read_text().startswith('1 0x1 '):
        assert process.poll() is None and time.monotonic() < deadline, 'the program did not come to its reply'
        time.sleep(0.001)
    status = dict(line.split(':', 1) for line in (own / 'status').read_text().splitlines())
    with os.fdopen(out, 'rb') as reader:
        assert b'"failed"' in reader.read()
    process.wait()
    yield row('resident, one small task', int(status['VmHWM'].split()[0]) / 1024, 'MiB', 'budget', BUDGET_MIB)


def row(name, value, unit, against, against_value):
    return {
        'group': 'transport', 'name': name, 'value': round(value, 2), 'unit': unit,
        'against': against, 'against_value': round(against_value, 2), 'ratio': round(value / against_value, 3),
    }


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        target = Target(root / 'target', WITH_PYTHON='1')
        try:
            bench = Bench(root, target)
            rows = [*bench.warm(), *bench.cold(), *bench.many(), *bench.on_the_wire()]
        finally:
            target.stop()
        print(json.dumps([*rows, *resident(root)]))


if __name__ == '__main__':
    main()

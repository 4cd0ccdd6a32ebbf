# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warm tasks over ssh: ours against `raw` and against Ansible's own ping with pipelining, in one play, taking turns.

Prints one line of JSON: a list of {group, name, value, unit, against, against_value, ratio}. A task's time is from its start to its result, on the controller.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from conftest import Controller, Target

ROUNDS = 20
CALLBACKS = Path(os.environ['QUORATE_CALLBACKS'])


def tasks(snapshot):
    """One task of each kind, in turn. The first round only warms up: it uploads the program and opens the connection."""
    one_round = [
        {'name': 'raw', 'ansible.builtin.raw': 'true', 'changed_when': False},
        {'name': 'ours', 'quorate.controlplane.etcd_snapshot': {'state': 'verified', 'path': snapshot}, 'failed_when': False},
        {'name': 'ping', 'ansible.builtin.ping': {}},
    ]
    return [dict(task, name=f'{task["name"]} {number}') for number in range(ROUNDS + 1) for task in one_round]


def seconds(steps):
    times = defaultdict(list)
    for line in steps.read_text().splitlines():
        step = json.loads(line)
        kind, number = step['step'].split()
        if int(number) > 0:
            times[kind].append(step['seconds'])
    return {kind: statistics.median(values) for kind, values in times.items()}


def transport(root):
    data = bytes(1024)
    (root / 'snapshot').write_bytes(data + hashlib.sha256(data).digest())
    target = Target(root / 'target', WITH_PYTHON='1')
    try:
        controller = Controller(root, target)
        controller.env |= {
            'ANSIBLE_COLLECTIONS_PATH': os.environ['QUORATE_STAGE'],
            'ANSIBLE_PIPELINING': 'true',
            'ANSIBLE_CALLBACK_PLUGINS': f'{CALLBACKS}:{Path(__file__).parent / "callback"}',
            'ANSIBLE_CALLBACKS_ENABLED': 'quorate_steps',
            'QUORATE_STEPS': str(root / 'steps.jsonl'),
        }
        (root / 'ansible_collections').rename(root / 'unused')
        results, printed = controller.play(tasks(str(root / 'snapshot')), user='root')
        assert len(results) == 3 * (ROUNDS + 1), printed
    finally:
        target.stop()
    took = seconds(root / 'steps.jsonl')
    for against in ('raw', 'ping'):
        yield row(f'warm task, median of {ROUNDS}', took['ours'] * 1000, 'ms', against, took[against] * 1000)


def resident(root):
    """The most memory that the program had while it ran one small task."""
    request = json.dumps({'_ansible_module_name': 'quorate.controlplane.etcd_snapshot', 'state': 'verified', 'path': str(root / 'snapshot')})
    program = Path(os.environ['QUORATE_STAGE']) / 'ansible_collections/quorate/controlplane/bin/x86_64/quorate'
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    code = f'import subprocess,resource;subprocess.run([{str(program)!r}, "-"], input={request.encode()!r}, stdout=subprocess.DEVNULL);'
    code += 'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert before >= 0
    yield row('resident, one small task', int(done.stdout) / 1024, 'MiB', 'budget', 12)


def row(name, value, unit, against, against_value):
    return {
        'group': 'transport', 'name': name, 'value': round(value, 2), 'unit': unit,
        'against': against, 'against_value': round(against_value, 2), 'ratio': round(value / against_value, 3),
    }


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        print(json.dumps([*transport(root), *resident(root)]))


if __name__ == '__main__':
    main()

# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection carries beside its plugins: the programs with their hashes, and an option table for each module.

Each is read once a run: `warm` reads them in the process that forks a worker for every task and host.
"""

from __future__ import annotations

import functools
import json
import os

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.quorate.controlplane.plugins.plugin_utils import shell

BIN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'bin')


@functools.cache
def hashes():
    """The sha256 of each architecture's program, as `stage` wrote them down."""
    path = os.path.join(BIN, 'SHA256SUMS')
    try:
        with open(path, encoding='utf-8') as file:
            pairs = [line.split() for line in file]
    except FileNotFoundError:
        raise AnsibleActionFail(f'no programs at "{path}": run "cargo xtask stage", or install the collection from its tarball') from None
    return {program.split('/', 1)[0]: digest for digest, program in pairs}


@functools.cache
def validator(module):
    """What checks a module's arguments, and the names of its options."""
    path = os.path.join(BIN, 'spec', module + '.json')
    try:
        with open(path, encoding='utf-8') as file:
            spec = json.load(file)
    except FileNotFoundError:
        raise AnsibleActionFail(
            f'no option table for "{module}" at "{path}": the collection is not whole; install it from its tarball, '
            'or run "cargo xtask stage" in a checkout and use target/stage'
        ) from None
    return ArgumentSpecValidator(**spec), frozenset(spec['argument_spec'])


def program(machine):
    """The path of the program for what `uname -m` says."""
    arch, carried = shell.arch(machine), sorted(hashes())
    if arch not in carried:
        raise AnsibleActionFail(
            f'no program for machine "{machine}": the collection carries {" and ".join(carried)}; '
            'delegate the task to a host of one of these'
        )
    return os.path.join(BIN, arch, 'quorate')


def warm():
    """Reads everything. What is missing is a failure of the task that needs it, not of whoever only looks the plugin up."""
    try:
        hashes()
        for name in os.listdir(os.path.join(BIN, 'spec')):
            validator(name.removesuffix('.json'))[0].validate({})
    except (AnsibleActionFail, OSError, ValueError):
        pass

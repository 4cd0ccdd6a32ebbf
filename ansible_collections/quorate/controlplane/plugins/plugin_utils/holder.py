# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names the run of ansible-playbook that a task belongs to, as the holder of the operation lock.

All tasks of one run give the same name: tasks run in forked workers, and the run is the process that forks them. The
boot id, the process id and its start time tell whether that process still lives; no two processes share all three.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import subprocess

from ansible.errors import AnsibleActionFail


def _run_pid():
    # Not os.getppid(): where the run is dead, a worker that outlived it has got another parent.
    parent = multiprocessing.parent_process()
    return parent.pid if parent else os.getpid()


def _linux(pid):
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        boot = file.read().strip()
    return boot, _start(pid), os.readlink('/proc/self/ns/pid')


def _start(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
        # The second field is the program's name and may hold anything but ends with the last parenthesis; the start time is field 22.
        return file.read().rsplit(')', 1)[1].split()[19]


def _other(pid):
    def say(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    boot = say('sysctl', '-n', 'kern.bootsessionuuid')
    start = say('ps', '-o', 'lstart=', '-p', str(pid)).replace(' ', '-')
    return boot, start, ''


def holder():
    """`<controller host>/<boot id>/<pid>/<start time>/<run id>`."""
    pid = _run_pid()
    try:
        boot, start, space = _linux(pid) if os.path.exists('/proc/self/stat') else _other(pid)
    except (OSError, subprocess.CalledProcessError) as error:
        raise AnsibleActionFail(f'the run that this task belongs to, process {pid}, cannot be read: {error}; it may have ended') from error
    # Controllers in containers may share host name, boot and process id.
    run = hashlib.sha256('/'.join((boot, space, str(pid), start)).encode()).hexdigest()[:8]
    return '/'.join((socket.gethostname(), boot, str(pid), start, run))


def controller():
    """Every process here as `pid/start-time`, by which a lock can be taken over at once from a run that has ended; None where that cannot be told."""
    processes = []
    try:
        space = os.readlink('/proc/self/ns/pid')
        pids = [name for name in os.listdir('/proc') if name.isdigit()]
    except OSError:
        return None
    for pid in pids:
        try:
            processes.append(f'{pid}/{_start(pid)}')
        except (OSError, IndexError):
            continue  # it has just ended
    return {'pid_namespace': space, 'processes': processes}

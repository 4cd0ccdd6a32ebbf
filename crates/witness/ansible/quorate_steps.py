# Copyright: Quorate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes one line of JSON for each finished task, for the report; and can die at a task boundary, for the campaign."""

from __future__ import annotations

import json
import os
import signal
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: quorate_steps
type: aggregate
short_description: Writes one line of JSON for each finished task
description:
  - Development only. Appends C({at, step, host, seconds, changed}) to the file of E(QUORATE_STEPS).
  - With E(QUORATE_KILL_AT) set to a number N, kills its own process with SIGKILL when the N-th task is about to start (the first is 1).
    A text is the beginning of that task's name.
  - With E(QUORATE_STOP_AT) it stops itself with SIGSTOP there, once, and goes on when it is continued.
options: {}
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "quorate_steps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._file = os.environ.get("QUORATE_STEPS")
        self._kill_at = os.environ.get("QUORATE_KILL_AT")
        self._stop_at = os.environ.get("QUORATE_STOP_AT")
        self._tasks = 0
        self._began = {}

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._tasks += 1
        if self._is(self._kill_at, task):
            # Nothing of ours may run any more: no handler, no always block, as when the machine loses power.
            os.kill(os.getpid(), signal.SIGKILL)
        if self._is(self._stop_at, task):
            self._stop_at = None
            os.kill(os.getpid(), signal.SIGSTOP)
        self._began[task._uuid] = time.time()

    def _is(self, wanted, task):
        """Whether this is the task with that number, or one whose name begins so."""
        if not wanted:
            return False
        return self._tasks == int(wanted) if wanted.isdigit() else task.get_name().strip().startswith(wanted)

    def _write(self, result):
        if not self._file:
            return
        task = result._task
        ended = time.time()
        began = self._began.get(task._uuid, ended)
        delegated = (result._result.get("_ansible_delegated_vars") or {}).get("ansible_delegated_host")
        line = {
            "at": began,
            "step": task.get_name().strip(),
            "host": delegated or result._host.get_name(),
            "seconds": round(ended - began, 3),
            "changed": bool(result._result.get("changed")),
        }
        with open(self._file, "a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def v2_runner_on_ok(self, result):
        self._write(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result)

    def v2_runner_on_unreachable(self, result):
        self._write(result)

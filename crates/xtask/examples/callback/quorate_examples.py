# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how each task ended, as a line of JSON."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: quorate_examples
type: aggregate
short_description: Writes how each task ended, as a line of JSON
description:
  - Development only. Appends C({file, task, action, host, check, ended, changed}) to the file of E(QUORATE_EXAMPLES).
options: {}
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = 'quorate_examples'
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, result, ended):
        task = result._task
        path = task.get_path() or ''
        line = {
            'file': os.path.basename(path.rsplit(':', 1)[0]),
            'task': task.get_name().strip(),
            'action': task.action,
            'host': result._host.get_name(),
            'check': bool(task.check_mode),
            'ended': ended,
            'changed': bool(result._result.get('changed')),
        }
        with open(os.environ['QUORATE_EXAMPLES'], 'a', encoding='utf-8') as out:
            out.write(json.dumps(line) + '\n')

    def v2_runner_on_ok(self, result):
        self._write(result, 'ok')

    def v2_runner_on_skipped(self, result):
        self._write(result, 'skipped')

    def v2_runner_on_failed(self, result, ignore_errors=False):
        results = result._result.get('results') or [result._result]
        failed = next((one for one in results if one.get('failed')), result._result)
        refusal = failed.get('refusal') or {}
        self._write(result, refusal.get('code') or str(failed.get('msg')))

    def v2_runner_on_unreachable(self, result):
        self._write(result, f'unreachable: {result._result.get("msg")}')

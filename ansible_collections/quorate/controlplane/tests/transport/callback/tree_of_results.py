# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what Ansible prints, and writes each task's result as a line of JSON to the file that RESULTS names."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
name: tree_of_results
type: stdout
short_description: results as lines of JSON
description: [For tests.]
extends_documentation_fragment: [default_callback]
"""


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'tree_of_results'

    def _write(self, kind, result):
        with open(os.environ['RESULTS'], 'a', encoding='utf-8') as file:
            file.write(json.dumps({'kind': kind, **json.loads(self._dump_results(result._result))}) + '\n')

    def v2_runner_on_ok(self, result):
        self._write('ok', result)
        super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write('failed', result)
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_on_unreachable(self, result):
        self._write('unreachable', result)
        super().v2_runner_on_unreachable(result)

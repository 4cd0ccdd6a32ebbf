# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every module of the collection: one ssh exec of a cached program, JSON on its standard input.

Ansible's own way sends a compiled module whole, with five round trips, for each task. Here the program lies on the
target under the hash of its content, so that a task costs what `raw` costs. The target needs a POSIX shell, no Python.
"""

from __future__ import annotations

import json
import re

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.module_utils.json_utils import _filter_non_json_lines
from ansible.plugins.action import ActionBase

from ansible_collections.quorate.controlplane.plugins.plugin_utils import carried, core, fetch, holder, shell
from ansible_collections.quorate.controlplane.plugins.plugin_utils.job import Job, Silence


class ActionModule(ActionBase):
    """The one dispatcher of the collection."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = True

    _program = None

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        name = core.module(self._task)
        validator, options = carried.validator(name.rsplit('.', 1)[-1])
        args = core.plain(self._task.args)
        self._add_holder(options, args)
        self._validate(name, validator, args)
        fetch_to = args.get('fetch_to') if 'fetch_to' in options else None

        if self._task.async_val or not self._connection.has_pipelining:
            result = self._run_stock(name, args, task_vars)
        else:
            result = self._run_cached(name, args, task_vars)

        if fetch_to and not self._task.check_mode and not self._task.async_val and not result.get('failed'):
            fetch.bring(self, result, fetch_to)
        return core.untrusted(result)

    # What the task says.

    @staticmethod
    def _add_holder(options, args):
        if 'holder' in options and args.get('holder') is None:
            args['holder'] = holder.holder()
            if 'controller' in options and args.get('controller') is None and (here := holder.controller()):
                args['controller'] = here

    @staticmethod
    def _validate(name, validator, args):
        """Refuses on the controller what the program would refuse, before anything travels."""
        result = validator.validate(args)
        if not result.error_messages:
            return
        message = result.errors.msg
        if isinstance(result.errors[0], UnsupportedError):
            message = f'Unsupported parameters for ({name}) module: {message}'
        raise AnsibleActionFail(remove_values(message, result._no_log_values))

    # The cached way.

    def _run_cached(self, name, args, task_vars):
        hashes = carried.hashes()
        directory = self._cache_dir(task_vars)
        self._update_module_args(name, args, task_vars)
        words = json.dumps(args)
        job = Job(self, name, task_vars, hashes, directory)
        run = shell.run(hashes, directory, self._compute_environment_string(), job.token, job.terms())

        with job.ends_with_the_task():
            reply = self._exec(run, words, job)
            if isinstance(reply, Silence) and (machine := self._damaged(hashes, directory)):
                reply = machine
            if isinstance(reply, str):
                self._upload(reply, hashes, directory)
                reply = self._exec(run, words, job)
        if reply is None:
            # Nothing ran (su or sudo wants a terminal): Ansible's own way gives it one.
            return self._run_stock(name, {k: v for k, v in args.items() if not k.startswith('_ansible_')}, task_vars)
        if isinstance(reply, Silence):
            raise AnsibleActionFail(
                f'the program ended without a reply: {reply.why}; what it did is unknown: run the task again, it starts from what it observes'
            )
        if not isinstance(reply, dict):
            raise AnsibleActionFail('the program was stored on the target and is not there any more')
        # An action's own `_ansible_*` keys steer the controller; a target has no say in that.
        return {key: value for key, value in reply.items() if not key.startswith('_ansible_')}

    def _exec(self, command, words, job):
        """Answers with the program's reply, or its `Silence`; with the machine's name where it is absent; or None where nothing ran."""
        try:
            done = self._start(command, words.encode())
        except AnsibleConnectionFailure as error:
            if not job.is_lost_in(error):
                raise
            reply = job.follow()
            if isinstance(reply, Silence):
                raise error from None
            return reply
        out, err = done.get('stdout', ''), done.get('stderr', '')
        if shell.STARTED not in out:
            if self._wants_terminal(err + out):
                return None
            raise AnsibleActionFail(
                f'the target ran nothing: exit status {done.get("rc")}, standard error "{err.strip()[-1024:]}", '
                f'output "{out.strip()[-1024:]}"'
            )
        out = out.split(shell.STARTED, 1)[1]
        if machine := shell.word(out, 'absent'):
            return machine
        if shell.word(out, 'job'):
            return job.follow()
        try:
            text, warnings = _filter_non_json_lines(out, objects_only=True)
            reply = json.loads(text)
        except ValueError:
            return Silence(f'exit status {done.get("rc")}, standard error "{err.strip()[-1024:]}"')
        if warnings:
            reply['warnings'] = list(reply.get('warnings') or []) + list(warnings)
        return reply

    def _damaged(self, hashes, directory):
        """Removes the program on the target if it is not ours, and answers with the machine's name; None where it is."""
        done = self._low_level_execute_command(shell.check(hashes, directory), sudoable=True, in_data=b'\n')
        return shell.word(done.get('stdout', ''), 'damaged')

    def _start(self, command, data):
        """Gives the command to the shell that is there, as `raw` does; a shell of its own where that is asked for, or that one is no POSIX shell."""
        if self._play_context.executable == '/bin/sh':
            done = self._low_level_execute_command(command, sudoable=True, in_data=data, executable=False)
            if shell.STARTED in done.get('stdout', '') or self._connection.become:
                return done
        return self._low_level_execute_command(command, sudoable=True, in_data=data)

    def _wants_terminal(self, text):
        become = self._connection.become
        if not become:
            return False
        return not core.pipelines(become) or re.search(r'must have a tty|run from a terminal|a terminal is required', text) is not None

    def _upload(self, machine, hashes, directory):
        with open(carried.program(machine), 'rb') as file:
            program = file.read()
        command = shell.store(hashes[shell.arch(machine)], directory)
        done = self._low_level_execute_command(command, sudoable=True, in_data=program)
        out = done.get('stdout', '')
        if shell.word(out, 'stored'):
            return
        why = shell.word(out, 'unstored') or done.get('stderr', '').strip()[-1024:] or f'exit status {done.get("rc")}'
        raise AnsibleActionFail(
            f'failed to store the program on the target: {why}; set the variable quorate_cache_dir to a directory that the '
            'task\'s user may write and run programs from'
        )

    # Ansible's own way: the program and its arguments are sent as files.

    def _run_stock(self, name, args, task_vars):
        machine = self._low_level_execute_command(shell.SAY_MACHINE, sudoable=False).get('stdout', '').strip().splitlines()
        self._program = carried.program(machine[-1] if machine else '')
        result = self._execute_module(module_name=name, module_args=args, task_vars=task_vars, wrap_async=self._task.async_val)
        # 126 and 127 are the shell's: the interpreter of core's async wrapper did not run.
        if self._task.async_val and result.get('failed') and result.get('rc') in (126, 127):
            raise AnsibleActionFail('async needs Python on the target, and it has none: run the task without async')
        return result

    def _configure_module(self, module_name, module_args, task_vars):
        if module_name.endswith('async_wrapper'):
            return super()._configure_module(module_name, module_args, task_vars)
        return core.built(self._program)

    def _cache_dir(self, task_vars):
        delegated = task_vars.get('ansible_delegated_vars', {}).get(self._task.delegate_to, {})
        directory = delegated.get('quorate_cache_dir', task_vars.get('quorate_cache_dir'))
        return self._templar.template(directory) if directory else None

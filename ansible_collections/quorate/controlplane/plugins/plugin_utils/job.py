# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a program that takes long, and ends it with the task that it belongs to.

A program that ends within PATIENCE replies in the exec that started it, and nothing here happens. One that takes longer
goes on by itself, and is asked what it waits for, each time by an exec of its own, until it replies.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import threading
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.json_utils import _filter_non_json_lines
from ansible.utils.display import Display

from ansible_collections.quorate.controlplane.plugins.plugin_utils import shell

# Seconds. How long the first exec waits for the reply; how long the program goes on when nobody follows it; how long one
# question waits for news; and how long a lost connection is tried again, which has to be less than what the program allows.
PATIENCE = 1.5
ALONE = 60
POLL = 15
TRY_AGAIN = 45
# For the program to end when it is left. A call that is under way may take longer; it is then no longer waited for.
LEAVING = 5
# So many lines are never said.
NO_LINES = 10 ** 9


class Silence:
    """Of a program that ended without a reply."""

    def __init__(self, why):
        self.why = why


class Interrupted(BaseException):
    """By a signal. No Exception: nobody on the way is to take it for a failure."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


class Job:
    """The program's run for one task."""

    def __init__(self, action, name, task_vars, hashes, directory):
        self.token = secrets.token_hex(16)
        self._action, self._where = action, (hashes, directory)
        host = task_vars.get('inventory_hostname', '')
        if action._task.delegate_to:
            host = f'{host} -> {action._task.delegate_to}'
        self._prefix = f'{host} | {name.rsplit(".", 1)[-1]}: '
        self._silent = bool(action._task.no_log)

    def terms(self):
        """What the program is told, after the token and the shell that waits for it."""
        return f'{int(PATIENCE * 1000)} {ALONE}'

    def is_lost_in(self, error):
        """Whether a connection that was there has gone: then the program may run."""
        return re.search(r'closed|reset|broken pipe|disconnect', str(error), re.IGNORECASE) is not None

    def follow(self):
        """Shows what the program waits for, until it replies; answers with that, or with its Silence."""
        seen, lost = NO_LINES if self._silent else 0, None
        while True:
            try:
                said = self._ask('--follow', seen, POLL)
            except AnsibleConnectionFailure as error:
                lost = lost or time.monotonic()
                self._reconnect(lost, error)
                continue
            lost = None
            if said['job'] == 'ended':
                self._leave()
                return said['reply']
            if said['job'] == 'absent':
                return Silence(f'job {self.token} is not on the target any more: {said.get("why")}')
            for line in said['lines']:
                self._show(line)
            if not self._silent:
                seen = said['seen']

    def _reconnect(self, since, error):
        if time.monotonic() - since > TRY_AGAIN:
            raise AnsibleConnectionFailure(
                f'lost the connection to job {self.token} on the target and did not get it back within {TRY_AGAIN} s: {error}; '
                f'the job makes no change meanwhile and ends by itself {ALONE} s after it was last followed: '
                'run the task again, it starts from what it observes'
            )
        if time.monotonic() - since < 1:
            self._show('the connection is lost and tried again; the task goes on')
        time.sleep(1)

    def _ask(self, verb, *args):
        done = self._action._start(shell.ask(*self._where, verb, self.token, *args), b'\n')
        out = done.get('stdout', '').partition(shell.STARTED)[2]
        try:
            said = json.loads(_filter_non_json_lines(out, objects_only=True)[0])
            if said['job']:
                return said
        except (ValueError, KeyError):
            pass
        raise AnsibleConnectionFailure(f'exit status {done.get("rc")}, standard error "{done.get("stderr", "").strip()[-1024:]}"')

    def _show(self, line):
        if not self._silent:
            shown = ''.join(letter if letter.isprintable() else ' ' for letter in self._prefix + line)
            Display().display(shown, stderr=True)

    def _leave(self):
        """Tells the program that it can end. Where that does not arrive, it ends by itself when its time alone is over."""
        with contextlib.suppress(Exception):
            self._ask('--leave', LEAVING)

    @contextlib.contextmanager
    def ends_with_the_task(self):
        """Ends the program on the target when the task is interrupted or its time is up."""
        with _interrupts_raised():
            try:
                yield
            except Exception:
                raise
            except BaseException:  # Interrupted, and core's TaskTimeoutError
                self._leave_at_once()
                raise

    def _leave_at_once(self):
        # The connection may be what the task hangs in: core's alarm has gone off and can be set again.
        signal.alarm(2 * LEAVING)
        try:
            self._leave()
        except BaseException:  # the alarm: core's handler raises the same once more
            pass
        finally:
            signal.alarm(0)


@contextlib.contextmanager
def _interrupts_raised():
    """Makes an exception of the first interrupt. From ansible-core 2.19 on its own handler ends the worker on the spot, and before that SIGTERM did."""
    signals = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's alone
        return

    def interrupt(signum, _frame):
        # Core sends SIGTERM right after SIGINT: it must not end what the first one began.
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, interrupt) for signum in signals}
    raised = None
    try:
        yield
    except Interrupted as interrupted:
        raised = interrupted
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
    if raised:
        # What core does then is for core to decide.
        os.kill(os.getpid(), raised.signum)
        raise KeyboardInterrupt

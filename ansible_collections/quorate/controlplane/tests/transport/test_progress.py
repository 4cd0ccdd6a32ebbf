# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that take long, through a real sshd: what they wait for is shown live, a lost connection costs nothing, and they end with the task.

The program is the module of the protocol tests that waits for a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from test_transport import become, only

TROUBLE = 'quorate.controlplane.trouble'
LINE = 'h1 | trouble: wait for a file: 1 line is there'
SPEC = {'argument_spec': {'trouble': {'type': 'str'}, 'file': {'type': 'path'}, 'password': {'type': 'str', 'no_log': True}}}


def until(what, there, patience=60):
    deadline = time.monotonic() + patience
    while not there():
        assert time.monotonic() < deadline, f'waited in vain: {what() if callable(what) else what}'
        time.sleep(0.05)


@pytest.fixture(scope='session')
def program(tmp_path_factory):
    built = os.environ.get('QUORATE_TROUBLE')
    assert built, 'QUORATE_TROUBLE is not set: "cargo xtask test --only transport" builds the program and sets it'
    small = tmp_path_factory.mktemp('trouble') / 'quorate'
    subprocess.run(['strip', '-o', small, built], check=True)
    return small


def with_trouble(controller, program):
    """Puts the program in the place of the one that repeats its arguments."""
    tree = controller.tree
    (tree / 'plugins' / 'modules' / 'trouble.py').write_text('DOCUMENTATION = "module: trouble"\n')
    (tree / 'meta' / 'runtime.yml').write_text(
        'requires_ansible: ">=2.16.0"\nplugin_routing: {modules: {trouble: {action_plugin: quorate.controlplane.quorate}}}\n'
    )
    (tree / 'bin' / 'spec' / 'trouble.json').write_text(json.dumps(SPEC))
    shutil.copy(program, tree / 'bin' / 'x86_64' / 'quorate')
    (tree / 'bin' / 'SHA256SUMS').write_text(f'{hashlib.sha256(program.read_bytes()).hexdigest()}  x86_64/quorate\n')
    return controller


@pytest.fixture
def trouble(controller, target, program):
    target.inside('rm -rf /root/wait /home/other/wait; mkdir /root/wait; install -d -o other /home/other/wait')
    yield with_trouble(controller, program)
    assert jobs(target) == [], 'a job is left on the target'


def jobs(target):
    lines = target.inside('for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; echo; done 2>/dev/null').splitlines()
    return [line for line in lines if '/quorate/' in line.split(' ')[0] and '--job' in line]


def wait(home='/root', **args):
    keywords = args.pop('keywords', {})
    return {TROUBLE: {'trouble': 'wait', 'file': f'{home}/wait/file', **args}, **keywords}


class Running:
    """A play that goes on while the test looks at it."""

    def __init__(self, controller, tasks, user='root', hosts='h1', args=()):
        self.results = controller.root / 'results.jsonl'
        self.results.unlink(missing_ok=True)
        play = controller.root / 'play.yml'
        play.write_text(json.dumps([{'hosts': hosts, 'gather_facts': False, 'remote_user': user, 'tasks': tasks}]))
        self.printed = controller.root / 'printed'
        with open(self.printed, 'wb') as out:
            self.process = subprocess.Popen(
                ['ansible-playbook', str(play), *args], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=controller.root,
                env={**controller.env, 'RESULTS': str(self.results)}, start_new_session=True,
            )

    def until(self, text):
        until(self.text, lambda: text in self.text())
        assert self.process.poll() is None and not self.results.exists(), 'the task has not ended yet'

    def text(self):
        return self.printed.read_text()

    def end(self):
        try:
            self.process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return [json.loads(line) for line in self.results.read_text().splitlines()] if self.results.exists() else []


def is_done(result):
    return result['kind'] == 'ok' and result['changed'] and result['lines'] == 2


@pytest.mark.core
def test_what_is_waited_for_is_shown_while_it_is_waited_for(trouble, target):
    play = Running(trouble, [wait()])
    play.until(LINE)
    target.inside('touch /root/wait/file.go')
    assert is_done(only(play.end())), play.text()
    assert play.text().count('wait for a file') == 1, 'it did not change, and is shown once'


@pytest.mark.core
def test_a_short_task_is_one_exec_and_shows_nothing(trouble, target):
    only(trouble.play([wait(trouble='none', file='/root/wait/first')], user='root')[0])
    before = target.execs()
    results, printed = trouble.play([wait(trouble='none')], user='root')
    assert is_done(only(results)) and target.execs() - before == 1 and 'h1 | trouble' not in printed, printed


@pytest.mark.core
def test_the_program_ends_when_the_time_of_the_task_is_up(trouble, target):
    # The upload is not what takes the time.
    first = wait(trouble='none', file='/root/wait/first')
    _, result = trouble.play([first, wait(keywords={'timeout': 5})], user='root')[0]
    assert result['kind'] == 'failed' and ('imed out' in str(result) or 'time frame' in str(result)), result
    # The program has ended before the task has: the fixture looks.
    assert jobs(target) == [] and target.inside('cat /root/wait/file') == 'write line 1\n'


@pytest.mark.core
@pytest.mark.parametrize('to_all', [True, False])
def test_the_program_ends_when_the_play_is_interrupted(trouble, target, to_all):
    play = Running(trouble, [wait()])
    play.until(LINE)
    # A terminal interrupts the whole group, a service manager its first process.
    (os.killpg if to_all else os.kill)(play.process.pid, signal.SIGINT)
    play.end()
    until(lambda: f'{jobs(target)} {play.text()}', lambda: not jobs(target), patience=20)
    assert target.inside('cat /root/wait/file') == 'write line 1\n'


def test_time_that_is_up_before_the_program_goes_on_by_itself(trouble, target):
    first = wait(trouble='none', file='/root/wait/first')
    _, result = trouble.play([first, wait(keywords={'timeout': 1})], user='root')[0]
    assert result['kind'] == 'failed', result
    until('the end', lambda: not jobs(target), patience=20)


def cut(target):
    """Ends every connection to the target, as a lost network would."""
    target.inside('for p in /proc/[0-9]*; do case $(tr "\\0" " " <$p/cmdline) in "sshd: "*"@"*|"sshd: "*"[priv]"*) kill -9 ${p#/proc/};; esac; done')


@pytest.mark.core
def test_a_lost_connection_costs_nothing(trouble, target):
    play = Running(trouble, [wait()])
    play.until(LINE)
    cut(target)
    play.until('the connection is lost and tried again; the task goes on')
    target.inside('touch /root/wait/file.go')
    assert is_done(only(play.end())), play.text()


def test_a_connection_that_does_not_come_back_names_the_job(trouble, target):
    text = (trouble.tree / 'plugins/plugin_utils/job.py')
    text.write_text(text.read_text().replace('TRY_AGAIN = 45', 'TRY_AGAIN = 1').replace('ALONE = 60', 'ALONE = 3'))
    trouble.env['ANSIBLE_TIMEOUT'] = '2'
    listener = int(Path(f'/proc/{target.process.pid}/task/{target.process.pid}/children').read_text().split()[0])
    play = Running(trouble, [wait()])
    play.until(LINE)
    try:
        os.kill(listener, signal.SIGSTOP)
        cut(target)
        result = only(play.end())
    finally:
        os.kill(listener, signal.SIGCONT)
    assert result['kind'] == 'unreachable' and 'lost the connection to job ' in result['msg'] and 'run the task again' in result['msg'], result
    until('the end of the job', lambda: not jobs(target), patience=20)


@pytest.mark.core
def test_become_makes_no_difference(trouble, target):
    play = Running(trouble, [wait(keywords=become())], user='operator')
    play.until(LINE)
    target.inside('touch /root/wait/file.go')
    assert is_done(only(play.end())), play.text()


@pytest.mark.parametrize('keywords', [become(user='other', password=''), become(method='su'), {**become(), 'pty': True}])
def test_nor_does_another_user_or_su_or_a_terminal_of_sudos_own(trouble, target, keywords):
    keywords = dict(keywords)
    rules = target.dir / 'sudoers'
    before = rules.read_text()
    if keywords.pop('pty', False):
        rules.write_text('Defaults use_pty\n' + before)
    home = '/home/other' if keywords['become_user'] == 'other' else '/root'
    try:
        play = Running(trouble, [wait(home, keywords=keywords)], user='operator')
        play.until(LINE)
        target.inside(f'touch {home}/wait/file.go')
        assert is_done(only(play.end())), play.text()
    finally:
        rules.write_text(before)


@pytest.mark.core
def test_nothing_is_shown_of_a_task_with_no_log(trouble, target):
    play = Running(trouble, [wait(trouble='wait_inside', keywords={'no_log': True})])
    until(play.text, lambda: jobs(target) and target.inside('cat /root/wait/file'))
    time.sleep(2)  # longer than the first exec waits
    target.inside('touch /root/wait/file.go')
    result = only(play.end())
    assert result['kind'] == 'ok' and 'censored' in result, result
    assert 'log in' not in play.text() and 'h1 | trouble' not in play.text(), play.text()


def test_a_secret_is_in_no_line(trouble, target):
    play = Running(trouble, [wait(trouble='wait_inside', password='hunter2-and-more')])
    play.until('h1 | trouble: log in with ********')
    target.inside('touch /root/wait/file.go')
    assert is_done(only(play.end())) and 'hunter2' not in play.text().replace('"password": "hunter2-and-more"', ''), play.text()


def test_a_program_that_is_killed_is_told_apart(trouble, target):
    play = Running(trouble, [wait()])
    play.until(LINE)
    target.inside('for p in /proc/[0-9]*; do case $(tr "\\0" " " <$p/cmdline) in *"--job"*) kill -9 ${p#/proc/};; esac; done')
    result = only(play.end())
    assert 'ended without a reply: job ' in result['msg'] and 'run the task again' in result['msg'], result


@pytest.mark.core
def test_a_local_task_is_followed_too(local, program, tmp_path):
    with_trouble(local, program)
    local.env['HOME'] = str(tmp_path)
    play = Running(local, [wait(file=str(tmp_path / 'file'), keywords={'vars': {'quorate_cache_dir': str(tmp_path / 'quorate')}})])
    play.until(LINE)
    (tmp_path / 'file.go').touch()
    assert is_done(only(play.end())), play.text()


def test_many_at_once(trouble, target):
    line = (trouble.root / 'hosts').read_text().splitlines()[0]
    (trouble.root / 'hosts').write_text('\n'.join(line.replace('h1 ', f'n{i} ') for i in range(5)) + '\n')
    tasks = [{TROUBLE: {'trouble': 'wait', 'file': '/root/wait/{{ inventory_hostname }}'}}]
    play = Running(trouble, tasks, hosts='all', args=['--forks=5'])
    for number in range(5):
        until(play.text, lambda name=f'n{number} | trouble: wait for a file': name in play.text())
    target.inside('for n in 0 1 2 3 4; do touch /root/wait/n$n.go; done')
    results = play.end()
    assert len(results) == 5 and all(is_done(r) for r in results), play.text()

# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook may say around a task, and what a target may do to one. Everything here is the same with every version of ansible-core."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from conftest import Controller, free_port
from test_transport import ECHO, ROOT_CACHE, become, only, task


@pytest.fixture
def with_python(make_target, short_tmp):
    return Controller(short_tmp, make_target(WITH_PYTHON='1'))


@pytest.mark.core
def test_async_with_poll_and_async_status(with_python):
    results, _ = with_python.play([task(name='a', keywords={'async': 30, 'poll': 1})], user='root')
    assert results[-1]['got']['name'] == 'a' and results[-1]['way'].endswith('/args'), results
    tasks = [
        task(name='b', keywords={'async': 30, 'poll': 0, 'register': 'job'}),
        {'ansible.builtin.async_status': {'jid': '{{ job.ansible_job_id }}'}, 'register': 'r', 'until': 'r.finished', 'retries': 50, 'delay': 1},
    ]
    results, _ = with_python.play(tasks, user='root')
    assert results[-1]['got']['name'] == 'b', results


@pytest.mark.core
def test_strings_that_look_like_what_they_mean(controller):
    """A task in the old form gives strings, a template gives one before 2.19 and a number from then on: the program takes both."""
    tasks = [
        {'ansible.builtin.set_fact': {'five': 5}},
        {ECHO: 'name=a count=5'},
        task(count='{{ 2 + 3 }}'),
        task(count='{{ five }}', name='{{ five }}'),
        task(name='{{ "x" if false else omit }}'),
    ]
    results, printed = controller.play(tasks, user='root')
    assert [r['kind'] for r in results] == ['ok'] * 5, printed
    assert {str(r['got']['count']) for r in results[1:4]} == {'5'} and 'name' not in results[4]['got']


@pytest.mark.core
def test_unsafe_values_are_not_templated(controller):
    (controller.root / 'play.yml').write_text(
        f"- hosts: h1\n  gather_facts: false\n  remote_user: root\n  tasks:\n    - {ECHO}:\n        name: !unsafe '{{{{ 1 + 1 }}}}'\n"
    )
    results, _ = controller.run(['ansible-playbook', str(controller.root / 'play.yml')])
    assert only(results)['got']['name'] == '{{ 1 + 1 }}'


@pytest.mark.core
def test_no_log_hides_the_result_and_a_secret_is_never_in_an_error(controller):
    tasks = [task(name='hide-me-too', keywords={'no_log': True}), task(secret='hide-me', mode='hide-me', keywords={'ignore_errors': True, 'no_log': False})]
    (controller.root / 'vars.json').write_text('{}')
    results, printed = controller.play(tasks, '-vvvv', user='root')
    assert 'got' not in results[0] and 'censored' in results[0] and 'hide-me-too' not in printed
    assert 'value of mode must be one of' in results[1]['msg'] and 'hide-me' not in results[1]['msg'], results[1]


@pytest.mark.core
def test_su_to_somebody_else(controller):
    result = only(controller.play([task(keywords=become(method='su', user='other'))])[0])
    assert result.get('uid') == 54322 or 'Failed to set permissions on the temporary files' in result['msg'], result


@pytest.mark.core
def test_pipelining_makes_no_difference(controller, target):
    controller.env['ANSIBLE_PIPELINING'] = 'true'
    results, _ = controller.play([task(name='a'), task(name='b', keywords=become())], user='operator')
    before = target.execs()
    results += controller.play([task(name='c')], user='operator')[0]
    assert [r['got']['name'] for r in results] == ['a', 'b', 'c'] and target.execs() - before == 1


@pytest.mark.core
def test_a_task_that_takes_too_long(controller):
    only(controller.play([task()], user='root')[0])
    # Left alone it would take half a minute, and be a success.
    result = only(controller.play([task(mode='slow', keywords={'timeout': 1})], user='root')[0])
    assert result['kind'] == 'failed' and ('imed out' in str(result) or 'time frame' in str(result)), result


def test_throttle_and_serial(controller, target):
    line = (controller.root / 'hosts').read_text().splitlines()[0]
    (controller.root / 'hosts').write_text('\n'.join(line.replace('h1 ', f'n{i} ') for i in range(4)) + '\n')
    results, _ = controller.play([task(keywords={'throttle': 1})], user='root', hosts='all', serial=2)
    assert [r['kind'] for r in results] == ['ok'] * 4


def test_a_damaged_program_is_replaced(controller, target):
    digest = hashlib.sha256((controller.tree / 'bin' / 'x86_64' / 'quorate').read_bytes()).hexdigest()
    look = f'cd {ROOT_CACHE} && ls -A && stat -c %u%a {digest} && sha256sum <{digest}'
    tasks = [task()]
    # Cut short, emptied, no program at all, not to be run, and somebody else's.
    for harm in ('head -c 40 {0} >{0}.x; cat {0}.x >{0}; rm {0}.x', ': >{0}', 'rm {0}; mkdir {0}', 'chmod 600 {0}', 'chown other {0}'):
        tasks += [{'ansible.builtin.raw': f'cd {ROOT_CACHE} && {harm.format(digest)}'}, task(name=harm), {'ansible.builtin.raw': look}]
    results, _ = controller.play(tasks, user='root')
    assert [r['kind'] for r in results] == ['ok'] * 16, results
    assert {r['stdout'] for r in results[3::3]} == {results[3]['stdout']}
    assert results[3]['stdout'].split() == [digest, '0700', digest, '-']


def test_pieces_of_uploads_that_were_killed_go(controller, target):
    target.inside(f'mkdir -p -m 700 {ROOT_CACHE}; cd {ROOT_CACHE}; touch .new.young; touch -d "3 days ago" .new.old')
    only(controller.play([task()], user='root')[0])
    assert '.new.young' in target.inside(f'ls -A {ROOT_CACHE}') and '.new.old' not in target.inside(f'ls -A {ROOT_CACHE}')


def test_a_disk_that_is_full(controller, target):
    target.inside(f'mkdir -p {ROOT_CACHE}; mount -t tmpfs -o size=64k,mode=700 tmpfs {ROOT_CACHE}; head -c 1M /dev/zero >{ROOT_CACHE}/filler')
    try:
        result = only(controller.play([task()], user='root')[0])
        assert 'could not take the program (disk full?)' in result['msg'] and 'quorate_cache_dir' in result['msg'], result
        assert target.inside(f'ls -A {ROOT_CACHE}') == 'filler\n'
    finally:
        target.inside(f'umount {ROOT_CACHE}')


def test_a_connection_cut_in_the_middle(controller, target):
    def cut():
        deadline = time.monotonic() + 20
        while not target.inside('cat /root/slow') and time.monotonic() < deadline:
            time.sleep(0.05)
        target.inside('for p in /proc/[0-9]*; do case $(tr "\\0" " " <$p/cmdline) in "sshd: root"*) kill -9 ${p#/proc/};; esac; done')

    only(controller.play([task()], user='root')[0])
    target.inside('rm -f /root/slow')  # one that ran out of its time elsewhere may still sleep
    thread = threading.Thread(target=cut)
    thread.start()
    result = only(controller.play([task(mode='slow')], user='root')[0])
    thread.join()
    assert result['kind'] in ('failed', 'unreachable') and result['msg'], result


def test_a_host_that_is_not_there(controller):
    (controller.root / 'hosts').write_text(f'h1 ansible_host=127.0.0.1 ansible_port={free_port()}\n')
    result = only(controller.play([task()], user='root')[0])
    assert result['kind'] == 'unreachable' and 'onnection refused' in result['msg'], result


def test_bad_input_ends_in_one_error(controller, target):
    before = target.execs()
    results, _ = controller.play([task(count='x' * 1_000_000, keywords={'ignore_errors': True})], user='root')
    assert 'unable to convert to int' in only(results)['msg'] and target.execs() == before
    (controller.root / 'pw').write_text('right')
    vaulted = "$ANSIBLE_VAULT;1.1;AES256\n          " + '61' * 40
    (controller.root / 'play.yml').write_text(
        f'- hosts: h1\n  gather_facts: false\n  remote_user: root\n  tasks:\n    - {ECHO}:\n        secret: !vault |\n          {vaulted}\n'
    )
    results, _ = controller.run(['ansible-playbook', '--vault-password-file', str(controller.root / 'pw'), str(controller.root / 'play.yml')])
    assert only(results)['kind'] == 'failed' and target.execs() == before, results

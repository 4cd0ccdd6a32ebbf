# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin through a real sshd and real ansible-core, to a target without Python."""

from __future__ import annotations

import hashlib

import pytest

from conftest import PASSWORD, build_collection

ECHO = 'quorate.controlplane.echo'
ROOT_CACHE = '/root/.cache/quorate'


def task(**args):
    keywords = args.pop('keywords', {})
    return {ECHO: args, **keywords}


def become(method='sudo', user='root', password=PASSWORD):
    return {'become': True, 'become_method': method, 'become_user': user, 'vars': {'ansible_become_password': password}}


def only(results):
    assert len(results) == 1, results
    return results[0]


@pytest.mark.core
def test_cold_takes_three_execs_and_warm_one(controller, target):
    before = target.execs()
    results, _ = controller.play([task(name='a')], user='root')
    cold = target.execs() - before
    results += controller.play([task(name='b')], user='root')[0]
    warm = target.execs() - before - cold
    assert [r['kind'] for r in results] == ['ok', 'ok'], results
    assert [r['got']['name'] for r in results] == ['a', 'b'] and results[0]['way'] == '-'
    assert (cold, warm) == (3, 1)
    assert target.inside('command -v sftp-server; ls /root/.ansible 2>/dev/null') == '', 'nothing else was put on the target'


def test_the_cache_is_roots_alone_and_holds_what_was_sent(controller, target):
    controller.play([task()], user='root')
    program = controller.tree / 'bin' / 'x86_64' / 'quorate'
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    assert target.inside(f'cd {ROOT_CACHE} && ls -A && stat -c "%a %U" . * && sha256sum < {digest}').split() == [
        digest, '700', 'root', '700', 'root', digest, '-',
    ]


@pytest.mark.core
def test_become_with_a_password_uses_roots_own_cache(controller, target):
    result = only(controller.play([task(keywords=become())])[0])
    assert result['uid'] == 0 and result['program'].startswith(ROOT_CACHE)
    # -H is what sets HOME: without it the login user's home must not be trusted.
    result = only(controller.play([task(keywords={**become(), 'become_flags': '-S'})])[0])
    assert result['program'].startswith(ROOT_CACHE)
    assert target.inside('ls -A /home/operator') == ''


def test_become_an_unprivileged_user(controller):
    result = only(controller.play([task(keywords=become(user='other', password=''))])[0])
    assert result['uid'] == 54322 and result['program'].startswith('/home/other/.cache/quorate/')


@pytest.mark.core
def test_su_works(controller):
    result = only(controller.play([task(keywords=become(method='su'))])[0])
    assert result['uid'] == 0, result


def test_a_directory_of_somebody_else_is_not_trusted(controller, target):
    only(controller.play([task()])[0])
    target.inside('chown -R other /home/operator/.cache/quorate')
    result = only(controller.play([task()])[0])
    assert result['kind'] == 'failed' and 'cannot be written by operator' in result['msg'], result


def test_what_is_damaged_on_the_way_is_not_kept(controller, target):
    program = controller.tree / 'bin' / 'x86_64' / 'quorate'
    program.write_text(program.read_text() + '# changed after it was listed\n')
    result = only(controller.play([task()], user='root')[0])
    assert 'what arrived has sha256' in result['msg']
    assert target.inside(f'ls -A {ROOT_CACHE}') == ''


def test_twenty_first_uses_at_once_leave_one_file(controller, target):
    names = [f'n{i}' for i in range(20)]
    hosts = (controller.root / 'hosts').read_text().splitlines()[0].replace('h1 ', '{} ')
    (controller.root / 'hosts').write_text('\n'.join(hosts.format(n) for n in names) + '\n')
    results, _ = controller.play([task()], '--forks=20', user='root', **{'hosts': 'all'})
    assert len(results) == 20 and all(r['kind'] == 'ok' for r in results), results
    assert len(target.inside(f'ls -A {ROOT_CACHE}').split()) == 1


def test_versions_of_the_past_are_pruned(controller, target):
    for version in range(11):
        build_collection(controller.root, version=str(version))
        only(controller.play([task()], user='root')[0])
    assert len(target.inside(f'ls -A {ROOT_CACHE}').split()) == 8


@pytest.mark.core
def test_what_the_task_says_arrives(controller):
    keywords = {'environment': {'MARK': 'with space'}, 'check_mode': True, 'diff': True}
    result = only(controller.play([task(name='{{ "x" }}', keywords=keywords)], user='root')[0])
    got = result['got']
    assert (got['name'], got['internal_check_mode'], got['internal_diff'], result['marked']) == ('x', True, True, 'with space')
    assert got['internal_module_name'] == ECHO


@pytest.mark.core
def test_a_reply_is_data_and_does_not_steer_the_controller(controller):
    results, _ = controller.play(
        [task(keywords={'register': 'r'}), {'ansible.builtin.debug': {'msg': '{{ r.text }} {{ r._ansible_no_log | default("none") }}'}}], user='root'
    )
    assert results[1]['msg'] == '{{ 1 + 1 }} none'


@pytest.mark.core
def test_warnings_and_differences_are_shown(controller):
    results, printed = controller.play([task(mode='warn')], '--diff', user='root')
    assert only(results)['kind'] == 'ok' and 'a word of warning' in printed, printed
    assert '-    "a": 1' in printed and '+    "a": 2' in printed, printed


@pytest.mark.core
def test_vaulted_values_arrive_in_the_clear_and_are_not_on_the_command_line(controller, target):
    (controller.root / 'pw').write_text('vaultpw')
    import subprocess

    from conftest import BIN

    vaulted = subprocess.run(
        [BIN / 'ansible-vault', 'encrypt_string', '--vault-password-file', controller.root / 'pw', 'hidden-value', '--name', 'secret'],
        capture_output=True, text=True, check=True, env=controller.env,
    ).stdout
    play = f'- hosts: h1\n  gather_facts: false\n  remote_user: root\n  tasks:\n    - {ECHO}:\n'
    play += '        mode: keep\n' + ''.join(f'        {line}\n' for line in vaulted.splitlines())
    (controller.root / 'play.yml').write_text(play)
    results, printed = controller.run(['ansible-playbook', '--vault-password-file', str(controller.root / 'pw'), '-vvvv', str(controller.root / 'play.yml')])
    # From 2.22 on the controller redacts it in results.
    assert only(results)['got']['secret'] in ('hidden-value', '$REDACTED$')
    assert '"secret": "hidden-value"' in target.inside('cat /root/kept; rm /root/kept')
    commands = [line for line in printed.splitlines() if 'EXEC' in line]
    assert commands and not any('hidden-value' in line for line in commands)
    assert 'hidden-value' not in target.log.read_text()


def test_arguments_of_ten_megabytes(controller):
    result = only(controller.play([task(mode='big', name='x' * 10_000_000)], user='root')[0])
    assert result['bytes'] > 10_000_000


@pytest.mark.core
@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ({'nam': 1}, f'Unsupported parameters for ({ECHO}) module: nam. Supported parameters include: count, fetch_to, holder, mode, name, path, secret (title).'),
        ({'mode': 'x'}, 'value of mode must be one of: plain, die, junk, big, fetch, lie, warn, slow, keep, got: x'),
        ({'count': 'x'}, 'unable to convert to int'),
        ({'count': 1, 'path': '/x'}, 'parameters are mutually exclusive: count|path'),
    ],
)
def test_arguments_are_validated_on_the_controller(controller, target, args, message):
    before = target.execs()
    result = only(controller.play([task(**args)], user='root')[0])
    assert message in result['msg'] and target.execs() == before


def test_a_program_that_dies_is_told_apart_from_one_that_failed(controller):
    result = only(controller.play([task(mode='die')], user='root')[0])
    assert 'ended without a reply: exit status 137' in result['msg'] and 'run the task again' in result['msg']


@pytest.mark.core
def test_a_line_before_the_reply_does_no_harm(controller):
    assert only(controller.play([task(mode='junk')], user='root')[0])['kind'] == 'ok'


@pytest.mark.core
def test_loops_delegation_and_module_defaults(controller):
    defaults = {'module_defaults': {'group/quorate.controlplane.all': {'name': 'from the group'}}}
    tasks = [task(keywords={'loop': [1, 2]}), task(keywords={'delegate_to': 'here'})]
    results, _ = controller.play(tasks, user='root', **defaults)
    assert [r['got']['name'] for r in results[0]['results']] == ['from the group'] * 2
    assert results[1]['got']['name'] == 'from the group'


@pytest.mark.core
def test_ad_hoc(controller):
    results, _ = controller.run(['ansible', 'h1', '-u', 'root', '-m', ECHO, '-a', 'name=a count=5'])
    assert only(results)['got']['count'] == '5'


def test_unknown_machine(make_target, short_tmp):
    from conftest import Controller

    target = make_target(FAKE_UNAME='riscv64')
    for keywords in ({}, {'vars': {'ansible_pipelining': False}}):
        result = only(Controller(short_tmp, target).play([task(keywords=keywords)], user='root')[0])
        assert 'no program for machine "riscv64": the collection carries aarch64 and x86_64' in result['msg'], result


def test_the_architecture_is_the_connections(make_target, short_tmp):
    from conftest import Controller

    target = make_target(FAKE_UNAME='arm64')
    only(Controller(short_tmp, target).play([task()], user='root')[0])
    assert 'version: aarch64' in target.inside(f'cat {ROOT_CACHE}/*')


def test_a_login_shell_that_is_not_posix(make_target, short_tmp):
    from conftest import Controller

    target = make_target(ODD_SHELL='1')
    controller = Controller(short_tmp, target)
    assert only(controller.play([task(name='a')])[0])['got']['name'] == 'a'
    assert only(controller.play([task(keywords=become())])[0])['uid'] == 0


def test_noexec_homes_say_what_to_do(make_target, short_tmp):
    from conftest import Controller

    target = make_target(NOEXEC='1')
    controller = Controller(short_tmp, target)
    result = only(controller.play([task()], user='root')[0])
    assert '"/root/.cache/quorate" is mounted noexec' in result['msg'] and 'quorate_cache_dir' in result['msg']
    result = only(controller.play([task(keywords={'vars': {'quorate_cache_dir': '/opt/spare/{{ "q" }}'}})], user='root')[0])
    assert result['program'].startswith('/opt/spare/q/')


def test_async_without_python_says_so(controller):
    result = only(controller.play([task(keywords={'async': 10, 'poll': 1})], user='root')[0])
    assert 'async needs Python on the target' in result['msg'], result


def test_fetch_to_brings_the_file_once(controller, target):
    data = target.inside('head -c 20000003 /dev/urandom > /root/f && chmod 600 /root/f && sha256sum < /root/f').split()[0]
    keywords = {'keywords': become()}
    fetch = task(mode='fetch', path='/root/f', fetch_to=f'{controller.root}/new/dir/', **keywords)
    first = only(controller.play([fetch])[0])
    assert first['changed'] and first['fetched'] == {'path': f'{controller.root}/new/dir/f', 'sha256': data, 'changed': True}
    file = controller.root / 'new' / 'dir' / 'f'
    assert hashlib.sha256(file.read_bytes()).hexdigest() == data and file.stat().st_mode & 0o777 == 0o600
    stamp = file.stat().st_mtime_ns
    second = only(controller.play([fetch])[0])
    assert not second['changed'] and not second['fetched']['changed'] and file.stat().st_mtime_ns == stamp
    assert [p.name for p in file.parent.iterdir()] == ['f']


def test_fetch_to_keeps_nothing_that_is_not_what_was_named(controller):
    result = only(controller.play([task(mode='lie', fetch_to=f'{controller.root}/out')], user='root')[0])
    assert 'expected 000' in result['msg'] and not list(controller.root.glob('*out*'))
    result = only(controller.play([task(mode='fetch', path='/etc/passwd', fetch_to=f'{controller.root}/out', keywords={'check_mode': True})], user='root')[0])
    assert 'fetched' not in result


@pytest.mark.core
def test_a_run_has_one_holder(controller):
    tasks = [
        task(), task(keywords={'loop': [1, 2]}), task(keywords={'delegate_to': 'here'}), task(keywords=become(user='other', password='')),
        task(holder='mine'), task(keywords={'run_once': True}),
    ]
    results, _ = controller.play(tasks, '--forks=3')
    holders = [results[0], *results[1]['results'], results[2], results[3], results[5]]
    assert len({r['got']['holder'] for r in holders}) == 1 and results[4]['got']['holder'] == 'mine'
    host, boot, pid, start, run = results[0]['got']['holder'].split('/')
    assert host and len(boot) == 36 and int(pid) > 1 and int(start) > 0 and len(run) == 8
    again = only(controller.play([task()])[0])['got']['holder']
    assert again != results[0]['got']['holder']
    first, second = (only(controller.run(['ansible', 'h1', '-u', 'root', '-m', ECHO])[0])['got']['holder'] for _ in range(2))
    assert first != second


@pytest.mark.core
def test_a_local_connection(local, monkeypatch, tmp_path):
    local.env['HOME'] = str(tmp_path)
    result = only(local.play([task(name='a', keywords={'vars': {'quorate_cache_dir': str(tmp_path / 'cache')}})])[0])
    assert result['got']['name'] == 'a' and result['program'].startswith(str(tmp_path / 'cache'))


@pytest.mark.core
def test_a_connection_without_stdin(local):
    (local.root / 'connection_plugins').mkdir()
    (local.root / 'connection_plugins' / 'mute.py').write_text(
        'from ansible.plugins.connection.local import Connection as Local, DOCUMENTATION as D\n'
        "DOCUMENTATION = D.replace('name: local', 'name: mute')\n"
        'class Connection(Local):\n    transport = "mute"\n    has_pipelining = False\n'
    )
    local.env['ANSIBLE_CONNECTION_PLUGINS'] = str(local.root / 'connection_plugins')
    result = only(local.play([task(name='a', keywords={'vars': {'ansible_connection': 'mute'}})])[0])
    assert result['got']['name'] == 'a' and result['way'].endswith('/args') and 'AnsiballZ_quorate' in result['program']

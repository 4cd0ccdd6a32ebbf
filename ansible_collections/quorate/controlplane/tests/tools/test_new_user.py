# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a new user: a tarball, an empty home, the first task, a play in check mode, a program of its own in library/."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

BIN = Path(os.environ['QUORATE_ANSIBLE'])
CACHE = Path(os.environ.get('QUORATE_CACHE') or Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'quorate')

PLAY = """
- name: A first play
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/quorate.controlplane.etcd:
      endpoints: ["{{ etcd }}"]
  tasks:
    - name: Look
      quorate.controlplane.etcd_info:
      register: seen
    - name: Save a snapshot
      quorate.controlplane.etcd_snapshot:
        dest: "{{ dest }}"
      register: saved
    - name: See what a new user sees
      ansible.builtin.assert:
        that:
          - seen.members | length == 1
          - seen.verdict is defined
          - saved is changed
          - saved.steps | length > 0
"""


def ansible(home, *words, rc=0, **more):
    """Runs a command of Ansible's as somebody who has nothing but the tarball."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(('ANSIBLE_', 'QUORATE_', 'ETCDCTL_'))}
    env |= {'PATH': f'{BIN}:{env["PATH"]}', 'HOME': str(home), 'LC_ALL': 'C.UTF-8', 'ANSIBLE_NOCOLOR': '1', **more}
    done = subprocess.run(words, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == rc, f'{done.returncode} of {words}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}'
    return done.stdout


def adhoc(home, module, args, rc=0, **more):
    """The module's result, as Ansible shows it."""
    out = ansible(home, 'ansible', 'localhost', '-m', module, '-a', args, rc=rc, **more)
    return json.loads('{' + out.split(' => {', 1)[1])


@pytest.fixture(scope='module')
def tarball(tmp_path_factory):
    """The one that was built to be given away; without it, one of the staged collection."""
    if given := os.environ.get('QUORATE_TARBALL'):
        return given
    to = tmp_path_factory.mktemp('tarball')
    ansible(to, 'ansible-galaxy', 'collection', 'build', '--output-path', str(to), f'{os.environ["QUORATE_STAGE"]}/ansible_collections/quorate/controlplane')
    return next(to.glob('*.tar.gz'))


@pytest.fixture(scope='module')
def home(tmp_path_factory, tarball):
    home = tmp_path_factory.mktemp('home')
    ansible(home, 'ansible-galaxy', 'collection', 'install', '--offline', str(tarball))
    return home


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


@pytest.fixture(scope='module')
def etcd(tmp_path_factory):
    """The address of a real etcd with one member."""
    programs = sorted((CACHE / 'artefacts').glob('etcd-v*/etcd')) or sorted((CACHE / 'artefacts').glob('etcd-v*'))
    assert programs, f'no etcd in {CACHE}: the tests of etcd_info build it there ("cargo xtask test")'
    client, peer = (f'http://127.0.0.1:{free_port()}' for _ in range(2))
    logs = tmp_path_factory.mktemp('etcd')
    words = [programs[-1], '--name', 'one', '--data-dir', logs / 'data', '--listen-client-urls', client, '--advertise-client-urls', client,
             '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', f'one={peer}']
    with open(logs / 'log', 'w', encoding='utf-8') as log:
        server = subprocess.Popen(words, stdout=log, stderr=log)
    end = time.monotonic() + 60
    while 'ready to serve client requests' not in (logs / 'log').read_text():
        assert server.poll() is None and time.monotonic() < end, (logs / 'log').read_text()[-3000:]
        time.sleep(0.1)
    yield client
    server.kill()
    server.wait()


def test_what_is_installed_is_what_was_packed(home):
    ansible(home, 'ansible-galaxy', 'collection', 'verify', '--offline', 'quorate.controlplane')
    listed = json.loads(ansible(home, 'ansible-doc', '--json', '--list', 'quorate.controlplane'))
    assert 'quorate.controlplane.etcd_info' in listed
    assert 'quorum' in ansible(home, 'ansible-doc', 'quorate.controlplane.etcd_info')


def test_the_first_task_reads_a_live_etcd(home, etcd):
    seen = adhoc(home, 'quorate.controlplane.etcd_info', f'endpoints={etcd}')
    assert [member['name'] for member in seen['members']] == ['one'] and seen['changed'] is False, seen


def test_the_first_refusal_says_why(home, etcd):
    refused = adhoc(home, 'quorate.controlplane.etcd_member', f'endpoints={etcd} state=absent name=one', rc=2)
    assert refused['refused'] is True and refused['changed'] is False, refused
    assert refused['refusal']['code'] and 'one' in refused['msg'], refused


def test_where_no_etcd_is_the_address_is_named(home):
    address = f'http://127.0.0.1:{free_port()}'
    failed = adhoc(home, 'quorate.controlplane.etcd_info', f'endpoints={address}', rc=2)
    assert address in failed['msg'] and 'refused' in failed['msg'], failed


def test_a_wrong_option_is_told_before_anything_runs(home):
    failed = adhoc(home, 'quorate.controlplane.etcd_info', 'no_such=1', rc=2)
    assert 'Unsupported parameters for (quorate.controlplane.etcd_info) module: no_such' in failed['msg'], failed


def test_a_play_in_check_mode_changes_nothing(home, etcd, tmp_path):
    (home / 'play.yml').write_text(PLAY)
    dest = tmp_path / 'snapshots'
    words = ('ansible-playbook', '--check', '--diff', 'play.yml', '-e', json.dumps({'etcd': etcd, 'dest': str(dest)}))
    out = ansible(home, *words)
    assert 'changed=1' in out and not dest.exists(), out


def test_the_playbook_says_what_it_wants(home):
    out = ansible(home, 'ansible-playbook', 'quorate.controlplane.replace_control_plane_node', '--check', '-e', 'target=cp2', rc=2)
    assert 'set target to one host of the inventory' in ' '.join(out.split()), out


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    """The standalone programs that were built to be given away; without them, those of a development build."""
    given = os.environ.get('QUORATE_LIBRARY')
    programs = Path(given) if given else Path(os.environ['QUORATE_STAGE']).parent / 'x86_64-unknown-linux-musl' / 'debug'
    home = tmp_path_factory.mktemp('user')
    (home / 'library').mkdir()
    for name in ('etcd_info', 'haproxy_pool'):
        assert (programs / name).is_file(), f'no {programs / name}: "cargo build --workspace --bins --target x86_64-unknown-linux-musl" builds it'
        shutil.copy(programs / name, home / 'library' / name)
    return home


def test_a_standalone_program_works_from_library(library, etcd):
    where = {'ANSIBLE_LIBRARY': str(library / 'library')}
    seen = adhoc(library, 'etcd_info', json.dumps({'endpoints': [etcd]}), **where)
    assert [member['name'] for member in seen['members']] == ['one'], seen
    failed = adhoc(library, 'haproxy_pool', 'state=drained server=cp2 sockets=/no/such.sock', rc=2, **where)
    assert '/no/such.sock' in failed['msg'], failed

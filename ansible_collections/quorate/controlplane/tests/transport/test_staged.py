# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The staged collection with the real program: what a user installs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import BIN


@pytest.fixture(scope='session')
def stage():
    """The tree that `cargo xtask stage` made."""
    path = os.environ.get('QUORATE_STAGE')
    assert path, 'QUORATE_STAGE is not set: "cargo xtask test --only transport" stages the collection and sets it'
    return Path(path)


@pytest.fixture
def names(stage):
    tree = stage / 'ansible_collections' / 'quorate' / 'controlplane'
    return sorted(path.stem for path in (tree / 'bin' / 'spec').glob('*.json'))


def with_stage(controller, stage):
    shutil.rmtree(controller.root / 'ansible_collections')
    (controller.root / 'ansible_collections').symlink_to(stage / 'ansible_collections')
    return controller


def run_every_module(controller, names):
    """Every module, with an option that it does not have: refused on the controller before anything is sent."""
    tasks = [{f'quorate.controlplane.{name}': {'no_such_option': 1}, 'ignore_errors': True} for name in names]
    results, _ = controller.play(tasks, user='root')
    return results


@pytest.mark.core
def test_every_module_has_its_option_table(local, stage, names):
    results = run_every_module(with_stage(local, stage), names)
    for name, result in zip(names, results, strict=True):
        # Ansible's validator speaks of what is missing before it speaks of what is unknown.
        unknown = f'Unsupported parameters for (quorate.controlplane.{name}) module: no_such_option.'
        assert result['msg'].startswith(unknown) or re.search(r'missing|is required', result['msg']), result


@pytest.mark.core
def test_the_real_program_runs_over_ssh(controller, stage, target):
    task = {'quorate.controlplane.haproxy_pool': {'server': 'cp2', 'state': 'drained', 'sockets': '/no/such.sock'}}
    results, _ = with_stage(controller, stage).play([task], user='root')
    assert results[0]['kind'] == 'failed' and '/no/such.sock' in results[0]['msg'] and 'ended without' not in results[0]['msg'], results
    assert len(target.inside('ls -A /root/.cache/quorate').split()) == 1


def doc(stage, home, *args):
    env = {**os.environ, 'ANSIBLE_COLLECTIONS_PATH': str(stage), 'HOME': str(home), 'ANSIBLE_LOCAL_TEMP': str(home)}
    done = subprocess.run([BIN / 'ansible-doc', *args], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0 and 'ERROR' not in done.stderr, done.stderr
    return json.loads(done.stdout)


@pytest.mark.core
def test_ansible_doc_lists_and_shows_every_module(stage, names, tmp_path):
    listed = doc(stage, tmp_path, '--json', '--list', 'quorate.controlplane')
    assert sorted(listed) == [f'quorate.controlplane.{name}' for name in names]
    shown = doc(stage, tmp_path, '--json', *listed)
    for name, module in shown.items():
        assert module['doc']['options'] and module['examples'] and module['return'], name


def test_every_playbook_is_read(stage, tmp_path):
    tree = stage / 'ansible_collections' / 'quorate' / 'controlplane'
    env = {**os.environ, 'ANSIBLE_COLLECTIONS_PATH': str(stage), 'HOME': str(tmp_path)}
    for playbook in sorted((tree / 'playbooks').glob('*.yml')):
        name = f'quorate.controlplane.{playbook.stem}'
        done = subprocess.run([BIN / 'ansible-playbook', '--syntax-check', '-e', 'target=cp2', name], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr

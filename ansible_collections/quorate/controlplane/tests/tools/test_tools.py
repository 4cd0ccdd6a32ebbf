# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The staged collection under the tools that its users and the collection index run on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# The environment with the tools.
BIN = Path(os.environ['QUORATE_ANSIBLE'])
# ansible-test keeps environments of its own there; they stay with ours.
HOME = BIN.parent / 'home'

# Where ansible-test looks for what installs pip. It would fetch it from a server of its own; Python brings one.
PIP = '.ansible/test/cache/get_pip_24_2.py'
GET_PIP = """\
import subprocess
import sys

wanted = [word for word in sys.argv[1:] if not word.startswith('-')]
subprocess.run([sys.executable, '-m', 'ensurepip'], check=True)
subprocess.run([sys.executable, '-m', 'pip', 'install', *wanted], check=True)
"""


@pytest.fixture(scope='session')
def tree(tmp_path_factory):
    """A copy of what is staged, with what only ansible-test reads."""
    root = tmp_path_factory.mktemp('tree')
    shutil.copytree(Path(os.environ['QUORATE_STAGE']) / 'ansible_collections', root / 'ansible_collections')
    tree = root / 'ansible_collections' / 'quorate' / 'controlplane'
    shutil.copytree(HERE.parent / 'sanity', tree / 'tests' / 'sanity')
    # Inside the tree: ansible-lint takes the folder of its configuration for the project, and looks at nothing outside.
    shutil.copy(HERE / 'ansible-lint.yml', tree / '.ansible-lint')
    return tree


def run(tree, *command, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith('ANSIBLE_')}
    env |= {'PATH': f'{BIN}:{env["PATH"]}', 'HOME': str(HOME), 'LC_ALL': 'C.UTF-8', 'ANSIBLE_COLLECTIONS_PATH': str(tree.parents[2]), **more}
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f'{done.stdout[-6000:]}\n{done.stderr[-6000:]}'
    return done.stdout


@pytest.mark.parametrize('test', ['validate-modules', 'action-plugin-docs', 'line-endings', 'no-illegal-filenames'])
def test_ansible_test_sanity(tree, test):
    (HOME / PIP).parent.mkdir(parents=True, exist_ok=True)
    (HOME / PIP).write_text(GET_PIP)
    run(tree, 'ansible-test', 'sanity', '--test', test, '--python', '3.11', '--color', 'no')


def test_ansible_lint_with_the_production_profile(tree):
    run(tree, 'ansible-lint', '--offline', '--profile', 'production', '--nocolor', 'playbooks')


def test_antsibull_docs_lint(tree):
    run(tree, 'antsibull-docs', 'lint-collection-docs', '--plugin-docs', '.')


def test_the_pages_are_built_without_a_warning(tree, tmp_path):
    build = HERE.parents[4] / 'docs' / 'site' / 'build.sh'
    run(tree, 'sh', str(build), str(tree.parents[2]), str(tmp_path))
    page = (tmp_path / 'html' / 'etcd_member_module.html').read_text()
    assert 'parameter-state' in page and 'quorate.controlplane.etcd_member' in page
    index = (tmp_path / 'html' / 'index.html').read_text()
    missing = [path.stem for path in (tree / 'plugins' / 'modules').glob('*.py') if f'{path.stem}_module.html' not in index]
    assert missing == []

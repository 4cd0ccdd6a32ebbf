# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example, held against the options of its module, and against what an earlier task of the examples returns."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

BIN = Path(os.environ['QUORATE_ANSIBLE'])
TREE = Path(os.environ['QUORATE_STAGE']) / 'ansible_collections' / 'quorate' / 'controlplane'

# Runs in the environment of the tools: ansible-core's own validator, with a value of the right type in each template's place.
VALIDATE = """
import json, sys, yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from pathlib import Path

FITS = {'int': 1, 'float': 1.0, 'bool': True, 'list': [], 'dict': {}, 'path': '/x', 'raw': 'x', 'str': 'x'}

def filled(value, spec):
    spec = spec or {}
    if isinstance(value, str) and '{{' in value:
        return spec['choices'][0] if spec.get('choices') else FITS[spec.get('type', 'str')]
    if isinstance(value, dict) and spec.get('options'):
        return {name: filled(own, spec['options'].get(name)) for name, own in value.items()}
    return value

tree, found = Path(sys.argv[1]), []
for path in sorted((tree / 'plugins' / 'modules').glob('*.py')):
    names = {}
    exec(compile(path.read_text(), str(path), 'exec'), names)
    for task in yaml.safe_load(names['EXAMPLES']):
        for action, args in task.items():
            if not action.startswith('quorate.controlplane.'):
                continue
            spec = json.loads((tree / 'bin' / 'spec' / f"{action.rsplit('.', 1)[1]}.json").read_text())
            options = spec.pop('argument_spec')
            aliases = {alias: name for name, option in options.items() for alias in option.get('aliases', [])}
            args = {name: filled(value, options.get(aliases.get(name, name))) for name, value in (args or {}).items()}
            # Filled in by the action plugin, or by the defaults of a group as in the first of the examples.
            for name, option in options.items():
                if name == 'holder' or name.startswith('api_'):
                    args.setdefault(name, FITS[option.get('type', 'str')])
            wrong = ArgumentSpecValidator(options, **spec).validate(args).error_messages
            found.append([path.stem, task['name'], wrong])
print(json.dumps(found))
"""


def python(program, *words):
    done = subprocess.run([BIN / 'python', '-c', program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def modules():
    """What each module's documentation says."""
    read = 'import json, sys, yaml\nfrom pathlib import Path\nall = {}\n' \
        'for path in Path(sys.argv[1]).glob("*.py"):\n' \
        '    names = {}\n    exec(compile(path.read_text(), str(path), "exec"), names)\n' \
        '    all[path.stem] = [yaml.safe_load(names["EXAMPLES"]), yaml.safe_load(names["RETURN"])]\n' \
        'print(json.dumps(all, default=str))'
    return python(read, str(TREE / 'plugins' / 'modules'))


def test_every_example_is_what_its_module_takes():
    found = python(VALIDATE, str(TREE))
    assert len(found) > 30, found
    assert [one for one in found if one[2]] == []


def test_every_example_uses_what_the_module_returns(modules):
    """A task that registers its result is followed by others: what they take of it has to be there."""
    wrong = []
    for name, (examples, _) in modules.items():
        registered = {}
        for task in examples:
            own = {key: value for key, value in task.items() if key != 'register'}
            for variable, attribute in re.findall(r'\b(\w+)\.(\w+)', json.dumps(own)):
                if variable in registered and attribute not in registered[variable]:
                    wrong.append(f'{name}: {task["name"]}: {variable}.{attribute}')
            action = next((key for key in task if key.startswith('quorate.')), None)
            if action and 'register' in task:
                returned = modules[action.rsplit('.', 1)[1]][1]
                registered[task['register']] = {*returned, 'changed', 'failed', 'results', 'msg'}
    assert wrong == []

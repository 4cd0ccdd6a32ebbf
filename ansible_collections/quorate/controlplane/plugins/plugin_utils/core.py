# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where versions of ansible-core differ: the one place that knows them."""

from __future__ import annotations

import json

from ansible.plugins.loader import action_loader
from ansible.utils.unsafe_proxy import wrap_var

try:
    from ansible.parsing.ajson import AnsibleJSONEncoder
except ImportError:
    from ansible.module_utils.common.json import AnsibleJSONEncoder

try:
    from ansible.executor.module_common import _BuiltModule
except ImportError:  # before 2.19
    _BuiltModule = None


def module(task):
    """The full name of the task's module; before 2.19 `resolved_action` is that of this collection's action plugin."""
    collection, _, name = (task.resolved_action or task.action).rpartition('.')
    if name == 'quorate':
        name = task.action.rpartition('.')[2]
    return f'{collection or "quorate.controlplane"}.{name}'


def plain(value):
    """A value without Ansible's own types: before 2.19 an inline !vault is an object that plain `json.dumps` refuses."""
    try:
        words = json.dumps(value)
    except TypeError:
        words = json.dumps(value, cls=AnsibleJSONEncoder, vault_to_text=True)
    return json.loads(words)


def untrusted(result):
    """A result whose strings are never templated; from 2.19 on no string is that nobody has marked as a template."""
    return wrap_var(result) if _BuiltModule is None else result


def built(program):
    """What `_configure_module` answers for a program that is sent as it is: a tuple of another shape before 2.19."""
    if _BuiltModule is None:
        return 'binary', None, b'', program
    return _BuiltModule(b_module_data=b'', module_style='binary', shebang=None, serialization_profile='legacy'), program


def pipelines(become):
    """Whether a become method leaves standard input alone; before 2.19 it does not say so itself, and only su does not."""
    return getattr(become, 'pipelining', become.name.rsplit('.', 1)[-1] != 'su')


def warm():
    """Does once, in the process that forks the workers, what core would do in each for a task of ours."""
    # What core takes for a module that has no action plugin of its name, before it asks for its routing.
    action_loader.get('ansible.legacy.normal', class_only=True)

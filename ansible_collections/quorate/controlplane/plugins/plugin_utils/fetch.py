# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a file that a module made to the controller, over the task's own connection, with its become, without Python there.

`ansible.builtin.fetch` would need Python on the target, and doubles the file in memory as root.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile

from ansible.errors import AnsibleActionFail

from ansible_collections.quorate.controlplane.plugins.plugin_utils import shell

BLOCK = 1 << 20
BLOCKS = 8


def bring(action, result, fetch_to):
    """Copies `result`'s file to `fetch_to` unless the same content is there, and says so in `result`."""
    source = _source(result)
    target = os.path.expanduser(fetch_to)
    if target.endswith('/') or os.path.isdir(target):
        target = os.path.join(target, os.path.basename(source['path']))
    target = action._loader.path_dwim(target)

    fetched = _digest(target) != source['sha256']
    if fetched:
        _write(action, source, target)
        result['changed'] = True
    result['fetched'] = {'path': target, 'sha256': source['sha256'], 'changed': fetched}


def _source(result):
    if not result.get('path') or not result.get('sha256'):
        raise AnsibleActionFail('fetch_to: the module named no file with its sha256, so there is nothing to bring to the controller')
    return {'path': result['path'], 'sha256': result['sha256']}


def _digest(path):
    """The sha256 of a local file, or None where there is none."""
    digest = hashlib.sha256()
    try:
        with open(path, 'rb') as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except (FileNotFoundError, IsADirectoryError):
        return None
    return digest.hexdigest()


def _chunks(action, path):
    skip = 0
    while True:
        command = shell.chunk(path, skip, BLOCKS, BLOCK)
        # Something on standard input, so that ssh takes no terminal, which would fold the line.
        done = action._low_level_execute_command(command, sudoable=True, in_data=b'\n')
        lines = done.get('stdout', '').strip().splitlines()
        try:
            data = base64.b64decode(lines[-1] if lines else '', validate=True)
        except binascii.Error as error:
            raise AnsibleActionFail(f'failed to read "{path}" on the target: {error}') from None
        yield data
        if len(data) < BLOCK * BLOCKS:
            return
        skip += BLOCKS


def _write(action, source, target):
    folder = os.path.dirname(target)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # The file holds every Secret of the cluster: mkstemp makes it 0600 from its first byte.
    handle, part = tempfile.mkstemp(prefix=f'.{os.path.basename(target)}.', suffix='.part', dir=folder)
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, 'wb') as file:
            for data in _chunks(action, source['path']):
                digest.update(data)
                file.write(data)
            if digest.hexdigest() != source['sha256']:
                raise AnsibleActionFail(
                    f'"{source["path"]}" arrived with sha256 {digest.hexdigest()} and {file.tell()} bytes, expected {source["sha256"]}: '
                    'nothing was kept; run the task again'
                )
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        os.unlink(part)
        raise
    # The name is as lasting as the content.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

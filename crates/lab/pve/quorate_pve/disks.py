"""Volumes as files of directory storages: import, resize, free."""

import asyncio
import os
import re
import time

from fakepve import PveError

from . import drive

# The names that block storages give: the owner is part of it.
OWNED = re.compile(r'^vm-(\d+)-[^/]+$')


class Disks:
    """The files below the storages' paths, kept in step with what the API lists."""

    def __init__(self, storages):
        # FakePve.storages: the same dict, so that content listings show our volumes.
        self.storages = storages

    def scan(self):
        """Lists what lies in the storages' directories."""
        for sid, store in self.storages.items():
            store['volumes'] = {}
            for folder, _, names in os.walk(store['path']):
                inside = os.path.relpath(folder, store['path'])
                for name in names:
                    volname = 'import/' + name if inside == 'import' else name.removesuffix('.raw')
                    if self.path('{}:{}'.format(sid, volname)) == os.path.join(folder, name):
                        store['volumes'][volname] = self._entry(os.path.join(folder, name), volname)

    @staticmethod
    def _entry(path, volname):
        status = os.stat(path)
        entry = {'content': 'import' if volname.startswith('import/') else 'images', 'format': 'raw',
                 'size': status.st_size, 'ctime': int(status.st_mtime)}
        owner = OWNED.match(volname)
        if owner:
            entry['vmid'] = int(owner.group(1))
        return entry

    def path(self, volid):
        """The file of a volume; None where there can be none."""
        sid, _, volname = volid.partition(':')
        store, owner = self.storages.get(sid), OWNED.match(volname)
        if store is None:
            return None
        if owner:
            return os.path.join(store['path'], owner.group(1), volname + '.raw')
        return os.path.join(store['path'], volname) if volname.startswith('import/') else None

    def exists(self, volid):
        """Whether the volume's file is there."""
        path = self.path(volid)
        return bool(path) and os.path.exists(path)

    def size(self, volid):
        """Bytes of the volume."""
        return os.path.getsize(self.path(volid))

    def _store(self, sid, content):
        store = self.storages.get(sid)
        if store is None:
            raise PveError(500, "storage '{}' does not exist".format(sid))
        if content not in str(store.get('content', '')).split(','):
            raise PveError(500, "storage '{}' does not support content-type '{}'".format(sid, content))
        return store

    def _allocate(self, sid, vmid):
        """Reserves the first free vm-<vmid>-disk-<n> (find_free_diskname) as an empty file."""
        store = self._store(sid, 'images')
        os.makedirs(os.path.join(store['path'], str(vmid)), exist_ok=True)
        for n in range(1000):
            volname = 'vm-{}-disk-{}'.format(vmid, n)
            volid = '{}:{}'.format(sid, volname)
            try:
                os.close(os.open(self.path(volid), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            store.setdefault('volumes', {})[volname] = {'content': 'images', 'format': 'raw', 'size': 0, 'vmid': vmid,
                                                        'ctime': int(time.time())}
            return volid
        raise PveError(500, "unable to allocate an image name for VM {} in storage '{}'".format(vmid, sid))

    def check_import(self, volume, source):
        """The checks made before the worker is forked; returns the target storage."""
        sid, colon, size = volume.partition(':')
        if not colon or size != '0':
            raise PveError(500, "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>")
        self._store(sid, 'images')
        from_sid, _, volname = source.partition(':')
        self._store(from_sid, 'import' if volname.startswith('import/') else 'images')
        if volname.startswith('iso/'):
            raise PveError(500, "{} has wrong type 'iso' - needs to be 'images' or 'import'".format(source))
        if not self.exists(source):
            raise PveError(500, "volume '{}' does not exist".format(source))
        return sid

    async def import_from(self, vmid, sid, source):
        """Copies the source into a volume of its own; frees it again when that fails."""
        volid = self._allocate(sid, vmid)
        try:
            copy = await asyncio.create_subprocess_exec(
                'cp', '--reflink=auto', '--sparse=always', '--', self.path(source), self.path(volid),
                stderr=asyncio.subprocess.PIPE)
            _, said = await copy.communicate()
            if copy.returncode:
                raise PveError(500, 'copy failed: ' + said.decode(errors='replace').strip())
        except BaseException:
            self.free(volid)
            raise
        self._note_size(volid)
        return volid

    def _note_size(self, volid):
        sid, _, volname = volid.partition(':')
        entry = self.storages[sid].setdefault('volumes', {}).get(volname)
        if entry:
            entry['size'] = self.size(volid)

    def resize(self, volid, text):
        """Extends a volume to `32G` or by `+5G`; returns its new size."""
        now = self.size(volid)
        wanted = drive.size_of(text.lstrip('+'))
        wanted += now if text.startswith('+') else 0
        if wanted < now:
            raise PveError(500, 'shrinking disks is not supported')
        if wanted > now:
            os.truncate(self.path(volid), wanted)
            self._note_size(volid)
        return wanted

    def free(self, volid):
        """Removes a volume for good."""
        sid, _, volname = volid.partition(':')
        path = self.path(volid)
        if path and os.path.exists(path):
            os.unlink(path)
        (self.storages.get(sid) or {}).get('volumes', {}).pop(volname, None)

"""A running API over files in a temporary folder, and a client for it."""

import asyncio
import os
import shutil
import ssl
import sys
import tempfile
import weakref

import aiohttp
from fakepve.certs import make_cert

from quorate_pve.api import QuoratePve

MIB = 1 << 20
HOOK = '''
import os, sys
folder, name, verb = sys.argv[1:4]
path = os.path.join(folder, name)
if verb == 'state':
    print('running' if os.path.exists(path) else 'stopped')
elif verb == 'on':
    if not os.path.exists(sys.argv[5]):
        sys.exit('no such disk')
    open(path, 'w').write(sys.argv[5])
elif os.path.exists(path) and not (verb == 'shutdown' and os.path.exists(path + '.deaf')):
    os.unlink(path)
'''


class World:
    """VM 101 with a disk of 4 MiB, an image of 2 MiB."""

    def __init__(self, **settings):
        # Outlives `async with`: a world may be entered again, as after a restart.
        self.folder = root = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
        for name in ('disks/101', 'images/import', 'power'):
            os.makedirs(os.path.join(root, name))
        with open(self.file('disks/101/vm-101-disk-0.raw'), 'wb') as disk:
            disk.write(b'old')
            disk.truncate(4 * MIB)
        with open(self.file('images/import/cp.raw'), 'wb') as image:
            image.write(b'fresh')
            image.truncate(2 * MIB)
        with open(self.file('hook.py'), 'w', encoding='utf-8') as hook:
            hook.write(HOOK)
        self.settings = {
            'listen': '127.0.0.1', 'port': 0, 'node': 'pve1', 'state': self.file('state.json'), 'control': True,
            'user': 'ops@pve', 'token_id': 't', 'token_secret': 'secret',
            'storages': {'local': self.file('images'), 'lab': self.file('disks')},
            'guests': [{'vmid': 101, 'name': 'cp1', 'uuid': '0ab1f0d2-0000-4000-8000-000000000101', 'mac': 'bc:24:11:00:01:01',
                        'disk': 'lab:vm-101-disk-0', 'size': 4 * MIB}], **settings}
        self.pve = self.client = None

    def file(self, name):
        """A path in the world's folder."""
        return os.path.join(self.folder, name)

    def with_power(self):
        """Adds a hook that keeps power as files."""
        self.settings['power'] = [sys.executable, self.file('hook.py'), self.file('power')]
        return self

    async def __aenter__(self):
        cert, key, _ = make_cert(self.folder)
        self.pve = QuoratePve(self.settings)
        await self.pve.start(cert, key)
        self.client = aiohttp.ClientSession(
            headers={'Authorization': 'PVEAPIToken=ops@pve!t=secret'},
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=cert)))
        return self

    async def __aexit__(self, *_):
        await self.client.close()
        await self.pve.stop()
        self.pve.state_file = None  # tasks that are cut off by the end of the test have nothing to save

    async def ask(self, method, path, **values):
        """(status, reason, data, errors) of a request below /nodes/pve1/qemu/101, or below / for a path that begins so."""
        path = path if path.startswith('/') else '/nodes/pve1/qemu/101/' + path
        given = {'params': values} if method == 'GET' else {'data': values}
        async with self.client.request(method, self.pve.url + '/api2/json' + path, **given) as reply:
            body = await reply.json()
            return reply.status, reply.reason, body.get('data'), body.get('errors')

    async def control(self, what, **given):
        """Injects a fault."""
        async with self.client.post(self.pve.control_url + '/' + what, json=given) as reply:
            return (await reply.json())['data']

    async def config(self, **values):
        """The config as it is."""
        return (await self.ask('GET', 'config', **{'current': 1, **values}))[2]

    async def end_of(self, upid):
        """The exit status of a task, once it has one."""
        for _ in range(500):
            task = (await self.ask('GET', '/nodes/pve1/tasks/{}/status'.format(upid)))[2]
            if task['status'] == 'stopped':
                return task['exitstatus']
            await asyncio.sleep(0.01)
        raise AssertionError('task runs for ever: ' + upid)

    async def run(self, method, path, **values):
        """The exit status of the task that a request starts; the reason where it starts none."""
        status, reason, upid, _ = await self.ask(method, path, **values)
        return await self.end_of(upid) if status == 200 else '{} {}'.format(status, reason)

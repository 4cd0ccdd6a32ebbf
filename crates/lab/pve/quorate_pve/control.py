"""Faults that a test injects into a running program, over plain HTTP on a loopback port of its own: `POST /<what>`."""

import asyncio
import json

from aiohttp import web
from fakepve import TaskError


class Control:
    """Mixin of FakePve. Nothing of this exists in Proxmox VE."""

    def _control_init(self):
        self.control_runner = self.control_url = None
        # [{'method', 'suffix', 'times'}]: carried out, then the connection breaks.
        self.lost_replies = []
        # [{'method', 'suffix', 'times', 'vmid', 'set'}]: somebody else writes right before the request.
        self.races = []
        # type -> {'seconds', 'fail', 'after', 'times'}: what befalls tasks of this type.
        self.task_faults = {}

    async def start(self, certfile, keyfile):
        """Also listens for faults, where they are wanted."""
        await super().start(certfile, keyfile)
        if self.controlled:
            app = web.Application()
            app.router.add_post('/{what}', self._control)
            self.control_runner = web.AppRunner(app)
            await self.control_runner.setup()
            await web.TCPSite(self.control_runner, '127.0.0.1', 0).start()
            self.control_url = 'http://127.0.0.1:{}'.format(self.control_runner.addresses[0][1])

    async def stop(self):
        """Stops listening."""
        if self.control_runner:
            await self.control_runner.cleanup()
        await super().stop()

    async def _control(self, request):
        call = getattr(self, '_control_' + request.match_info['what'].replace('-', '_'))
        data = await call(json.loads(await request.read() or b'{}'))
        self.save()
        return web.json_response({'data': data})

    async def _control_fail(self, given):
        """The next requests are answered by an error: {method, suffix, status, message, times}."""
        self.fail(given['method'], given['suffix'], given['status'], given['message'], times=given.get('times'))

    async def _control_lose_reply(self, given):
        self.lost_replies.append(dict({'times': 1}, **given))

    async def _control_race(self, given):
        self.races.append(dict({'times': 1}, **given))

    async def _control_task(self, given):
        """Tasks of a type take `seconds` (real ones) and fail with `fail`; `after`: the work is done first."""
        self.task_faults[given['type']] = given

    async def _control_vm(self, given):
        """Sets attributes and config keys of a guest, drops keys, and takes snapshots of its config."""
        vm = self.guest(int(given['vmid']))
        for key, value in given.get('set', {}).items():
            setattr(vm, key, value)
        if 'status' in given.get('set', {}):
            vm.qmpstatus = given['set'].get('qmpstatus', vm.status)
        for key, value in given.get('config', {}).items():
            self._set(vm, key, value)
        for key in given.get('drop', []):
            vm.config.pop(key, None)
        vm.pending.update(given.get('pending', {}))
        for name in given.get('snapshots', []):
            vm.snapshots[name] = dict(vm.config, snaptime=1)
        return {'config': vm.config, 'pending': vm.pending, 'status': vm.status, 'ha_state': vm.ha_state,
                'name': vm.name, 'node': vm.node, 'lock': vm.lock, 'snapshots': list(vm.snapshots)}

    async def _control_start_task(self, given):
        """A task of somebody else's that runs for `seconds` and changes nothing."""
        vm = self.guest(int(given['vmid']))
        return await self.task(vm.node, given['type'], vm.vmid, given.get('user', 'root@pam'),
                               lambda: asyncio.sleep(given['seconds']))

    async def _control_requests(self, _given):
        """What was asked."""
        return [[method, path, body.decode(errors='replace')] for method, path, body in self.requests]

    @staticmethod
    def _due(rules, request):
        for rule in rules:
            if rule['times'] > 0 and request.method == rule['method'] and request.path.endswith(rule['suffix']):
                rule['times'] -= 1
                return rule
        return None

    async def _befall(self, ttype, body):
        """Runs the body of a task with whatever is to befall it."""
        fault = self.task_faults.get(ttype, {})
        if fault.get('times') is not None:
            fault['times'] -= 1
            if fault['times'] <= 0:
                del self.task_faults[ttype]
        if fault.get('after'):
            await body()
        await asyncio.sleep(fault.get('seconds', 0))
        if fault.get('fail'):
            raise TaskError(fault['fail'])
        return None if fault.get('after') else await body()

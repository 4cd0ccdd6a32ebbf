"""Power, tasks and restarts, each behaviour with what it is held against."""

import os
import unittest

import aiohttp

from .world import World


class Power(unittest.IsolatedAsyncioTestCase):
    """The hook is the truth."""

    async def status(self, world):
        return (await world.ask('GET', 'status/current'))[2]['status']

    async def test_start_boots_the_boot_disk_and_stop_ends_it(self):
        async with World().with_power() as world:
            self.assertEqual(await world.run('POST', 'status/start'), 'OK')
            with open(world.file('power/cp1'), encoding='utf-8') as booted:
                self.assertEqual(booted.read(), world.file('disks/101/vm-101-disk-0.raw'))
            self.assertEqual(await self.status(world), 'running')
            # vm_start: the error is the task's.
            self.assertEqual(await world.run('POST', 'status/start'), 'VM 101 already running')
            self.assertEqual(await world.run('POST', 'status/stop'), 'OK')
            self.assertEqual(await self.status(world), 'stopped')

    async def test_status_is_the_hooks_word(self):
        async with World().with_power() as world:
            await world.run('POST', 'status/start')
            os.unlink(world.file('power/cp1'))
            self.assertEqual(await self.status(world), 'stopped')

    async def test_shutdown_of_a_stopped_vm_ends_ok(self):
        # 4.3: on a stopped VM the task ends OK.
        for world in (World(), World().with_power()):
            async with world:
                self.assertEqual(await world.run('POST', 'status/shutdown'), 'OK')

    async def test_shutdown_gives_up_or_pulls_the_plug(self):
        async with World().with_power() as world:
            await world.run('POST', 'status/start')
            with open(world.file('power/cp1.deaf'), 'w', encoding='utf-8'):
                pass
            self.assertEqual(await world.run('POST', 'status/shutdown', timeout=1), 'VM quit/powerdown failed - got timeout')
            self.assertEqual(await self.status(world), 'running')
            self.assertEqual(await world.run('POST', 'status/shutdown', timeout=1, forceStop=1), 'OK')
            self.assertEqual(await self.status(world), 'stopped')

    async def test_without_a_boot_disk_nothing_boots(self):
        async with World().with_power() as world:
            await world.run('POST', 'config', boot='order=net0')
            self.assertIn('no bootable device', await world.run('POST', 'status/start'))

    async def test_a_failing_hook_fails_the_task(self):
        world = World().with_power()
        world.settings['power'] = ['sh', '-c', 'test "$2" = state && echo stopped || { echo broken >&2; exit 3; }', 'hook']
        async with world:
            self.assertEqual(await world.run('POST', 'status/start'), 'power hook: cp1 on: broken')

    async def test_an_ha_managed_vm_stops_after_its_task(self):
        # hastop only queues a command for the CRM.
        async with World(ha_delay=0.3) as world:
            await world.control('vm', vmid=101, set={'status': 'running', 'ha_state': 'started'})
            status, _, upid, _ = await world.ask('POST', 'status/shutdown')
            self.assertEqual((status, 'hastop' in upid, await world.end_of(upid)), (200, True, 'OK'))
            self.assertEqual(await self.status(world), 'running')
            for _ in range(200):
                current = (await world.ask('GET', 'status/current'))[2]
                if current['status'] == 'stopped':
                    break
            self.assertEqual((current['status'], current['ha']['state']), ('stopped', 'stopped'))


class Tasks(unittest.IsolatedAsyncioTestCase):
    """Ends of tasks, and restarts of the program."""

    async def test_an_unknown_task_is_a_bad_request(self):
        # 4.2: 400 {upid: "no such task"}.
        async with World() as world:
            unknown = 'UPID:pve1:00001000:00007000:65000000:qmconfig:101:ops@pve!t:'
            status, _, _, errors = await world.ask('GET', '/nodes/pve1/tasks/{}/status'.format(unknown))
            self.assertEqual((status, errors), (400, {'upid': 'no such task'}))

    async def test_a_body_that_raises_ends_its_task(self):
        async with World() as world:
            world.pve.disks.resize = lambda *_: 1 // 0
            self.assertIn('division', await world.run('PUT', 'resize', disk='scsi0', size='8M'))

    async def test_active_tasks_are_listed_as_running(self):
        # PVE/API2/Tasks.pm: status RUNNING where there is none yet; the archive holds what has ended.
        async with World() as world:
            upid = await world.control('start-task', vmid=101, type='vzdump', seconds=30, user='ops@pve!t')
            listed = (await world.ask('GET', '/nodes/pve1/tasks', vmid=101, source='active'))[2]
            self.assertEqual([(task['upid'], task['status']) for task in listed], [(upid, 'RUNNING')])
            self.assertEqual((await world.ask('GET', '/nodes/pve1/tasks', vmid=101))[2], [])

    async def test_a_restart_keeps_guests_and_tasks(self):
        world = World()
        async with world:
            done = (await world.ask('POST', 'config', description='kept'))[2]
            await world.end_of(done)
            running = await world.control('start-task', vmid=101, type='vzdump', seconds=30, user='ops@pve!t')
            world.pve.save()
        world.settings['guests'] = []
        async with world:
            self.assertEqual((await world.config())['description'], 'kept')
            self.assertEqual(await world.end_of(done), 'OK')
            self.assertEqual(await world.end_of(running), 'unexpected status')


class Faults(unittest.IsolatedAsyncioTestCase):
    """What tests inject."""

    async def test_a_lost_reply_belongs_to_a_request_that_was_carried_out(self):
        async with World() as world:
            await world.control('lose-reply', method='POST', suffix='/config')
            with self.assertRaises(aiohttp.ClientError):
                await world.ask('POST', 'config', description='done')
            for _ in range(100):
                if 'description' in await world.config():
                    break
            self.assertEqual((await world.config())['description'], 'done')

    async def test_a_race_changes_the_digest(self):
        async with World() as world:
            digest = (await world.config())['digest']
            await world.control('race', method='POST', suffix='/config', vmid=101, set={'tags': 'other'})
            self.assertIn('checksum mismatch', await world.run('POST', 'config', description='x', digest=digest))

    async def test_a_task_fails_before_or_after_its_work(self):
        async with World() as world:
            for after, kept in [(False, None), (True, 'x')]:
                await world.control('task', type='qmconfig', fail='boom', after=after, times=1)
                self.assertEqual(await world.run('POST', 'config', description='x'), 'boom')
                self.assertEqual((await world.config()).get('description'), kept)


if __name__ == '__main__':
    unittest.main()

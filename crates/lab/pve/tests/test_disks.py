"""The disk swap, each behaviour with what it is held against in qemu-server (PVE/API2/Qemu.pm, QemuServer.pm of 9.2)."""

import os
import unittest

from .world import MIB, World

IMPORT = 'lab:0,import-from=local:import/cp.raw,discard=on'


class Swap(unittest.IsolatedAsyncioTestCase):
    """POST config with import-from over an existing drive."""

    async def test_an_import_is_a_new_file_and_the_old_volume_becomes_unused(self):
        # vmconfig_apply_pending: register_unused_drive(old), then conf[key] = new; the other keys stay as they are.
        async with World() as world:
            self.assertEqual(await world.run('POST', 'config', scsi0=IMPORT), 'OK')
            config = await world.config()
            self.assertEqual(config['scsi0'], 'lab:vm-101-disk-1,discard=on,size=2M')
            self.assertEqual((config['unused0'], config['boot']), ('lab:vm-101-disk-0', 'order=scsi0;net0'))
            with open(world.file('disks/101/vm-101-disk-1.raw'), 'rb') as disk:
                self.assertEqual(disk.read(5), b'fresh')

    async def test_a_stale_unused_volume_keeps_its_slot(self):
        # add_unused_volume: the first free unusedN.
        async with World() as world:
            await world.control('vm', vmid=101, config={'unused0': 'lab:vm-101-disk-9'})
            await world.run('POST', 'config', scsi0=IMPORT)
            self.assertEqual((await world.config())['unused1'], 'lab:vm-101-disk-0')

    async def test_a_failed_import_leaves_the_disk_and_may_leave_other_keys_pending(self):
        # create_disks frees what it allocated and dies; keys written before it stay in the pending section.
        async with World() as world:
            before = await world.config()
            os.chmod(world.file('images/import/cp.raw'), 0)
            os.rename(world.file('images/import/cp.raw'), world.file('images/import/gone.raw'))
            os.mkdir(world.file('images/import/cp.raw'))
            said = await world.run('POST', 'config', scsi0=IMPORT, description='condemned')
            self.assertIn('copy failed', said)
            self.assertEqual(await world.config(), before)
            self.assertEqual((await world.ask('GET', 'config'))[2]['description'], 'condemned')
            self.assertEqual(os.listdir(world.file('disks/101')), ['vm-101-disk-0.raw'])

    async def test_import_syntax_and_source_are_checked_before_the_task(self):
        async with World() as world:
            for value, reason in [
                    ('lab:4,import-from=local:import/cp.raw', "'import-from' requires special syntax"),
                    ('lab:0,import-from=local:import/none.raw', "volume 'local:import/none.raw' does not exist")]:
                status, said, _, _ = await world.ask('POST', 'config', scsi0=value)
                self.assertEqual(status, 500)
                self.assertIn(reason, said)

    async def test_a_running_vm_keeps_its_disk_and_gets_a_pending_one(self):
        # $running: vmconfig_hotplug_pending; a disk in use is not replaced.
        async with World() as world:
            await world.control('vm', vmid=101, set={'status': 'running'})
            await world.run('POST', 'config', scsi0=IMPORT, description='now')
            config = await world.config()
            self.assertTrue(config['scsi0'].startswith('lab:vm-101-disk-0'))
            self.assertEqual(config['description'], 'now')
            pending = {item['key']: item.get('pending') for item in (await world.ask('GET', 'pending'))[2]}
            self.assertTrue(pending['scsi0'].startswith('lab:vm-101-disk-1'))

    async def test_digest_and_lock_are_http_errors(self):
        # $load_and_check_config->(0) before fork_worker.
        async with World() as world:
            said = await world.run('POST', 'config', scsi0=IMPORT, digest='0' * 40)
            self.assertEqual(said, '500 checksum mismatch (file change by other user?)')
            await world.control('vm', vmid=101, set={'lock': 'backup'})
            self.assertEqual(await world.run('POST', 'config', scsi0=IMPORT), '500 VM is locked (backup)')


class Volumes(unittest.IsolatedAsyncioTestCase):
    """delete, unlink, resize."""

    async def test_deleting_a_drive_edits_the_boot_order_and_putting_it_back_does_not(self):
        async with World() as world:
            await world.run('POST', 'config', delete='scsi0')
            config = await world.config()
            self.assertEqual((config['boot'], config['unused0']), ('order=net0', 'lab:vm-101-disk-0'))
            await world.run('POST', 'config', scsi0='lab:vm-101-disk-0')
            config = await world.config()
            self.assertEqual(config['boot'], 'order=net0')
            # write_vm_config: an unusedN whose volume is used again goes.
            self.assertNotIn('unused0', config)

    async def test_deleting_an_unused_volume_frees_it(self):
        # try_deallocate_drive; `PUT unlink` is update_vm with delete.
        for method, path, key in [('POST', 'config', 'delete'), ('PUT', 'unlink', 'idlist')]:
            async with World() as world:
                await world.run('POST', 'config', scsi0=IMPORT)
                self.assertEqual((await world.ask(method, path, **{key: 'unused0'}))[0], 200)
                for _ in range(100):
                    if 'unused0' not in await world.config():
                        break
                self.assertEqual(os.listdir(world.file('disks/101')), ['vm-101-disk-1.raw'])

    async def test_what_a_snapshot_holds_is_not_freed(self):
        # is_volume_in_use looks into snapshots; cleanup of unused keys does too.
        async with World() as world:
            await world.control('vm', vmid=101, snapshots=['before'])
            await world.run('POST', 'config', scsi0=IMPORT)
            self.assertNotIn('unused0', await world.config())
            await world.control('vm', vmid=101, config={'unused0': 'lab:vm-101-disk-0'})
            self.assertEqual(await world.run('POST', 'config', delete='unused0'),
                             "unable to delete 'lab:vm-101-disk-0' - volume is still in use (snapshot?)")

    async def test_protection(self):
        async with World() as world:
            await world.run('POST', 'config', scsi0=IMPORT)
            await world.run('POST', 'config', protection=1)
            self.assertEqual(await world.run('POST', 'config', delete='unused0'),
                             "can't remove unused disk 'lab:vm-101-disk-0' - protection mode enabled")
            self.assertEqual(await world.run('POST', 'config', delete='scsi0'),
                             "can't remove drive 'scsi0' - protection mode enabled")

    async def test_resize_extends_the_file_and_never_shrinks_it(self):
        async with World() as world:
            for size, end, now in [('6M', 'OK', 6), ('6M', 'OK', 6), ('+2M', 'OK', 8), ('4M', 'shrinking disks is not supported', 8)]:
                self.assertEqual(await world.run('PUT', 'resize', disk='scsi0', size=size), end)
                self.assertEqual(os.path.getsize(world.file('disks/101/vm-101-disk-0.raw')), now * MIB)
                self.assertIn('size={}M'.format(now), (await world.config())['scsi0'])
            self.assertEqual(await world.run('PUT', 'resize', disk='scsi1', size='6M'), "disk 'scsi1' does not exist")


if __name__ == '__main__':
    unittest.main()

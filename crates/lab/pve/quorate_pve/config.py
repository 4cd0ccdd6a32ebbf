"""POST and PUT of a VM's config, resize and unlink, as qemu-server does them (PVE/API2/Qemu.pm, $update_vm_api)."""

from fakepve import PveError, TaskError
from fakepve.model import HOTPLUG
from fakepve.server import USER, ok, params

from . import drive

# Parameters of the request that are no config keys.
NOT_CONFIG = ('node', 'vmid', 'digest', 'delete', 'revert', 'force', 'skiplock', 'background_delay', 'import-working-storage')


def split(text):
    """Items of a PVE list."""
    return [item for item in str(text or '').replace(';', ',').split(',') if item]


class ConfigApi:
    """Mixin of FakePve. Expects `self.disks`."""

    def _routes_quorate(self):
        one = '/nodes/{node}/qemu/{vmid}'
        return [('PUT', one + '/resize', self._resize), ('PUT', one + '/unlink', self._unlink)]

    # ------------------------------------------------------------------ read

    async def _config_get(self, request):
        """The config; without `current` what is pending counts as applied (load_current_config)."""
        vm = self._vm(request, 'VM.Audit')
        given = self._verify(request, await params(request))
        if given.get('snapshot'):
            if given['snapshot'] not in vm.snapshots:
                raise PveError(500, "snapshot '{}' does not exist".format(given['snapshot']))
            return ok(dict(vm.snapshots[given['snapshot']], digest=vm.digest()))
        config = dict(vm.config)
        if not given.get('current'):
            for key, value in vm.pending.items():
                if value is None:
                    config.pop(key, None)
                else:
                    config[key] = value
        if 'memory' in config:
            config['memory'] = str(config['memory'])
        if 'description' in config:
            config['description'] = str(config['description']).rstrip()
        return ok(dict(config, digest=vm.digest()))

    # ----------------------------------------------------------------- write

    async def _config_post(self, request):
        given = await params(request)
        self._verify(request, given)
        vm, user = self._vm(request), request[USER]
        # Digest, lock and rights are checked before the worker is forked: HTTP errors, no task.
        self._check_update(vm, user, given)
        return ok(await self.task(vm.node, 'qmconfig', vm.vmid, user, lambda: self._apply_config(vm, user, given)))

    def _check_update(self, vm, user, given):
        self.need_quorum()
        keys = [key for key in given if key not in NOT_CONFIG] + split(given.get('delete')) + split(given.get('revert'))
        if not keys:
            raise PveError(500, 'no options specified')
        for key in keys:
            self._check_right(vm, user, key, str(given.get(key, '')))
        for key, value in given.items():
            if drive.DRIVE.match(key) and 'import-from=' in str(value):
                self._check_import(vm, user, value)
        if given.get('digest') and given['digest'] != vm.digest():
            raise PveError(500, 'checksum mismatch (file change by other user?)')
        self._check_lock(vm)

    def _check_right(self, vm, user, key, value):
        path = '/vms/{}'.format(vm.vmid)
        right = self._config_priv(key)
        if right == 'root':
            if user != 'root@pam':
                raise PveError(403, "only root can set '{}' config".format(key))
        elif key.startswith('ide') and 'media=cdrom' in value:
            self.require(user, path, 'VM.Config.CDROM')
        else:
            self.require(user, path, right)

    def _check_import(self, vm, user, value):
        volume, options = drive.parse(value)
        sid = self.disks.check_import(volume, options['import-from'])
        self.require(user, '/storage/' + sid, 'Datastore.AllocateSpace')
        source = '/storage/' + options['import-from'].partition(':')[0]
        if not (self.allowed(user, source, 'Datastore.AllocateSpace') or self.allowed(user, source, 'Datastore.Audit')):
            raise PveError(403, 'Permission check failed ({}, Datastore.AllocateSpace|Datastore.Audit)'.format(source))

    async def _apply_config(self, vm, user, p):
        self._check_update(vm, user, p)
        try:
            await self.acquire(vm, 'config')
        except TaskError as error:
            raise PveError(500, str(error)) from error
        try:
            for key in split(p.get('revert')):
                vm.pending.pop(key, None)
            for key in split(p.get('delete')):
                self._delete_key(vm, key)
            await self._stage(vm, {key: value for key, value in p.items() if key not in NOT_CONFIG})
            if vm.status == 'running':
                self._hotplug(vm)
            else:
                self._settle(vm)
        finally:
            self.release(vm, 'config')

    def _delete_key(self, vm, key):
        protected = str(vm.config.get('protection', '0')) == '1'
        if key not in vm.config and key not in vm.pending:
            return
        if drive.UNUSED.match(key):
            volid, _ = drive.parse(vm.config[key])
            if protected:
                raise PveError(500, "can't remove unused disk '{}' - protection mode enabled".format(volid))
            if volid in self._pinned(vm):
                raise PveError(500, "unable to delete '{}' - volume is still in use (snapshot?)".format(volid))
            self.disks.free(volid)
            vm.config.pop(key)
            return
        if drive.DRIVE.match(key) and protected:
            raise PveError(500, "can't remove drive '{}' - protection mode enabled".format(key))
        order = drive.boot_order(vm.config)
        if order and key in order:
            # Re-adding the drive does not bring it back into the order.
            vm.pending['boot'] = 'order=' + ';'.join(device for device in order if device != key)
        vm.pending[key] = None

    async def _stage(self, vm, updates):
        """Writes what is new into the pending section, one key after the other.

        qemu-server goes through the keys in Perl's random order and writes after each. Here a key that needs no work
        always comes before an import, which is the worse luck: when the import fails, the others stay pending.
        """
        for key in sorted(updates, key=lambda key: (bool(drive.DRIVE.match(key)), key)):
            value = updates[key]
            if drive.DRIVE.match(key) and not drive.is_cdrom(value):
                value = await self._new_drive(vm, value)
            elif key == 'boot':
                self._check_boot(vm, updates)
            vm.pending[key] = value
            self.save()

    async def _new_drive(self, vm, value):
        volume, options = drive.parse(value)
        options.pop('format', None)
        source = options.pop('import-from', None)
        if source:
            volume = await self.disks.import_from(vm.vmid, self.disks.check_import(volume, source), source)
        if self.disks.path(volume):
            if not self.disks.exists(volume):
                raise PveError(500, "volume '{}' does not exist".format(volume))
            options['size'] = drive.show_size(self.disks.size(volume))
        return drive.show(volume, options)

    @staticmethod
    def _check_boot(vm, updates):
        for device in drive.boot_order(updates) or []:
            if device and device not in {**vm.config, **vm.pending, **updates}:
                raise PveError(400, 'Parameter verification failed.',
                               {'boot': "invalid bootorder: device '{}' does not exist'".format(device)})

    # --------------------------------------------------------------- pending

    def _hotplug(self, vm):
        """A running VM: only harmless keys take effect at once."""
        for key in [key for key in vm.pending if key in HOTPLUG]:
            self._set(vm, key, vm.pending.pop(key))

    def _settle(self, vm):
        """A stopped VM: everything pending takes effect in one write (vmconfig_apply_pending)."""
        for key in sorted(vm.pending):
            if drive.DRIVE.match(key) and key in vm.config:
                self._keep_unused(vm, vm.config[key], vm.pending[key])
            self._set(vm, key, vm.pending[key])
        vm.pending = {}
        used = self._pinned(vm) | {drive.parse(value)[0] for key, value in vm.config.items() if drive.DRIVE.match(key)}
        for key in [key for key in vm.config if drive.UNUSED.match(key)]:
            # write_vm_config drops an unusedN whose volume is used again, also by a snapshot.
            if drive.parse(vm.config[key])[0] in used:
                vm.config.pop(key)

    @staticmethod
    def _set(vm, key, value):
        if value is None:
            vm.config.pop(key, None)
        else:
            vm.config[key] = value
        vm.name = vm.config.get('name') or 'VM {}'.format(vm.vmid)

    def _keep_unused(self, vm, old, new):
        volid, _ = drive.parse(old)
        if drive.is_cdrom(old) or (new is not None and drive.parse(new)[0] == volid):
            return
        sid, _, volname = volid.partition(':')
        kept = [drive.parse(value)[0] for key, value in vm.config.items() if drive.UNUSED.match(key)]
        if sid not in self.storages or not volname.startswith('vm-{}-'.format(vm.vmid)) or volid in kept:
            return
        free = next(n for n in range(256) if 'unused{}'.format(n) not in vm.config)
        vm.config['unused{}'.format(free)] = volid

    @staticmethod
    def _pinned(vm):
        """Volumes that snapshots hold."""
        return {drive.parse(value)[0] for snapshot in vm.snapshots.values()
                for key, value in snapshot.items() if drive.DRIVE.match(key)}

    # -------------------------------------------------------- resize, unlink

    async def _resize(self, values, user):
        vm = self.find(values['node'], values['vmid'])
        self.require(user, '/vms/{}'.format(vm.vmid), 'VM.Config.Disk')

        async def body():
            if values.get('digest') and values['digest'] != vm.digest():
                raise PveError(500, 'checksum mismatch (file change by other user?)')
            self._check_lock(vm)
            key = values['disk']
            if key not in vm.config:
                raise PveError(500, "disk '{}' does not exist".format(key))
            volid, options = drive.parse(vm.config[key])
            options['size'] = drive.show_size(self.disks.resize(volid, values['size']))
            vm.config[key] = drive.show(volid, options)
        return await self.task(vm.node, 'resize', vm.vmid, user, body, vm=vm)

    async def _unlink(self, values, user):
        vm = self.find(values['node'], values['vmid'])
        await self._apply_config(vm, user, {'delete': values['idlist']})

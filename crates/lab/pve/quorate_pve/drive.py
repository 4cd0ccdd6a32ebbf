"""Property strings of drives, as qemu-server reads and prints them."""

import re

DRIVE = re.compile(r'^(ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|efidisk0|tpmstate0)$')
UNUSED = re.compile(r'^unused\d+$')
UNITS = {'': 1, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}


def parse(text):
    """(volume, {option: value}) of `lab:101/vm-101-disk-0.raw,size=6G` or `file=..,size=6G`."""
    volume, options = '', {}
    for part in str(text).split(','):
        key, eq, value = part.partition('=')
        if not eq:
            volume = part
        elif key == 'file':
            volume = value
        else:
            options[key] = value
    return volume, options


def show(volume, options):
    """The value as it stands in a config: the volume, then the options by name (print_property_string)."""
    return ','.join([volume] + ['{}={}'.format(key, options[key]) for key in sorted(options)])


def is_cdrom(text):
    """Whether the drive is a CD-ROM, which has no volume of its own."""
    volume, options = parse(text)
    return options.get('media') == 'cdrom' or volume in ('cdrom', 'none')


def size_of(text):
    """Bytes of `6G`, `512M`, `1048576`; None when it is none of these."""
    found = re.fullmatch(r'(\d+(?:\.\d+)?)([KMGT]?)', str(text))
    return int(float(found.group(1)) * UNITS[found.group(2)]) if found else None


def show_size(size):
    """The largest unit that divides the size (PVE::JSONSchema::format_size)."""
    for unit in 'TGMK':
        if size and size % UNITS[unit] == 0:
            return '{}{}'.format(size // UNITS[unit], unit)
    return str(size)


def boot_order(config):
    """Devices of `order=scsi0;net0`, or None where there is no such order."""
    boot = str(config.get('boot', ''))
    return boot[len('order='):].split(';') if boot.startswith('order=') else None

//! Effects on this machine: commands, files, units, block devices, the kernel log.

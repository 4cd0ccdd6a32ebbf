//! Replaces a disk of a stopped Proxmox VE guest by a fresh image.

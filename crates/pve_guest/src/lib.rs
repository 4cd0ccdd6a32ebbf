//! Controls the power state of a Proxmox VE guest.

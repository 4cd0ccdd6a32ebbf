//! The Proxmox VE API: values, and calls over ureq.

"""A Proxmox VE API over real disk files and real power, for the lab and for tests."""

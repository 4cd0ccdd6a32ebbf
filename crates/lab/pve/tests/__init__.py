"""Tests of the lab's Proxmox VE."""

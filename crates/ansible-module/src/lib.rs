//! The Ansible module protocol and the life cycle of a run.

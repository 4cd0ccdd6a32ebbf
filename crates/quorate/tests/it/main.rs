//! The multi-call program as Ansible meets it.
#![cfg(test)]

mod program;
mod protocol;
mod spec;

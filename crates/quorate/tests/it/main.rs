//! The multi-call program as Ansible meets it.
#![cfg(test)]

mod job;
mod program;
mod protocol;
mod spec;
mod standalone;

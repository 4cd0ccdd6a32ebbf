//! The Proxmox VE API: values, and calls over ureq.
//!
//! Values ([`Drive`], [`Upid`], [`VmConfig`], [`Size`]) parse what the API says and print what it takes, keeping options that are not known
//! here and their order. [`Client`] is thin and blocking: one method a call, no retries, no waiting. A task is observed with [`Client::task`] as often
//! as the caller likes. What may be tried again is said by [`Error::class`].
//!
//! Not for bulk work or for the parts of the API that the modules here do not need.
//!
//! The error's text is the HTTP reason phrase: on versions before pve-http-server of 2025-01 it is the only place where PVE says what went wrong, and
//! no HTTP client keeps it; `wire` does.

mod access;
mod client;
mod config;
mod drive;
mod error;
mod guest;
mod http;
mod json;
mod size;
mod tasks;
mod tls;
mod wire;

pub use access::{Access, Given};
pub use client::{Client, Pending, TaskRow, VmStatus, Volume};
pub use config::{BootOrder, Smbios, VmConfig};
pub use drive::{Drive, is_drive_key, is_unused_key};
pub use error::{Class, Error};
pub use guest::{Guest, Label};
pub use size::Size;
pub use tasks::{Outcome, TaskState, Upid};

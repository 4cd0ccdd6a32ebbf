//! The process of a member, and a network for it.

use anyhow::Context;
use std::{
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// A process, and the one that ends it when this program is gone.
pub(super) struct Running {
    pub(super) etcd: Child,
    /// Reads from a pipe that only this program holds open; then kills.
    watchdog: Child,
}

impl Running {
    /// Starts both.
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let etcd = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { watchdog: watchdog(etcd.id())?, etcd })
    }
}

impl Drop for Running {
    /// The watchdog goes first: later the process id could be somebody else's.
    fn drop(&mut self) {
        for child in [&mut self.watchdog, &mut self.etcd] {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Ends a process when this one is gone, however it ended: then nobody holds the other end of the pipe.
fn watchdog(process: u32) -> anyhow::Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", "read -r _; kill -KILL \"$1\"", "watchdog", &process.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().context("start the watchdog of an etcd process (sh)")
}

/// Finds a network of 127.0.0.0/8 that nobody uses: members have the ports of etcd, and are told apart by address.
pub(super) fn free_net() -> [u8; 2] {
    loop {
        let [a, b, ..] = RandomState::new().hash_one(std::process::id()).to_le_bytes();
        // 127.0 and 127.1 are other people's favourites
        if a > 1 && TcpListener::bind((format!("127.{a}.{b}.1"), 2379)).is_ok() {
            return [a, b];
        }
    }
}

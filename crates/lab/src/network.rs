//! The lab's network: two namespaces and a bridge, without a way out.

use crate::command::{command, output, run, succeeds};
use crate::paths;
use crate::plan::{self, BRIDGE, CONTROLLER, NAMESPACE, PVE_ADDRESS, PVE_NAMESPACE};
use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

fn ip(line: &str) -> anyhow::Result<()> {
    run(&mut command("ip", line.split(' ')))
}

/// Makes the namespaces, the bridge between the hosts, and the cable of the PVE API.
pub fn up() -> anyhow::Result<()> {
    let port = plan::port("pve");
    for namespace in [NAMESPACE, PVE_NAMESPACE] {
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
    }
    ip(&format!("-n {NAMESPACE} link add {BRIDGE} type bridge forward_delay 0 stp_state 0"))?;
    ip(&format!("-n {NAMESPACE} address add {CONTROLLER}/24 dev {BRIDGE}"))?;
    ip(&format!("-n {NAMESPACE} link set {BRIDGE} up"))?;
    ip(&format!("-n {NAMESPACE} link add {port} type veth peer name eth0 netns {PVE_NAMESPACE}"))?;
    ip(&format!("-n {NAMESPACE} link set {port} master {BRIDGE} up"))?;
    ip(&format!("-n {PVE_NAMESPACE} address add {PVE_ADDRESS}/24 dev eth0"))?;
    ip(&format!("-n {PVE_NAMESPACE} link set eth0 up"))
}

/// Ends every process in the namespaces and removes them.
pub fn down() -> anyhow::Result<()> {
    for namespace in [NAMESPACE, PVE_NAMESPACE] {
        if exists(namespace) {
            end_processes(namespace)?;
            ip(&format!("netns delete {namespace}"))?;
        }
    }
    leave_no_mount();
    Ok(())
}

pub fn exists(namespace: &str) -> bool {
    paths::network_namespace(namespace).exists()
}

/// The first namespace that `ip` makes turns its directory into a mount; without namespaces nobody needs it.
fn leave_no_mount() {
    let dir = Path::new("/run/netns");
    let empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    if empty && crate::storage::is_mounted(dir) {
        let _ = run(&mut command("umount", [dir]));
    }
}

fn end_processes(namespace: &str) -> anyhow::Result<()> {
    let spared = ancestors();
    let deadline = Instant::now() + Duration::from_secs(10);
    for signal in std::iter::once(Signal::SIGTERM).chain(std::iter::repeat(Signal::SIGKILL)) {
        let said = output(&mut command("ip", ["netns", "pids", namespace]))?;
        let left: Vec<i32> = said
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .filter(|pid| !spared.contains(pid))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes {left:?} in the namespace {namespace} do not end");
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Returns this process and those that started it: they may live in the namespace and must see the end of this.
fn ancestors() -> Vec<i32> {
    let mut found = vec![Pid::this().as_raw()];
    while let Some(parent) = found.last().and_then(|pid| parent_of(*pid)).filter(|pid| *pid > 1) {
        found.push(parent);
    }
    found
}

fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Moves the calling thread into a namespace of the lab.
pub fn enter(namespace: &str) -> anyhow::Result<()> {
    let path = paths::network_namespace(namespace);
    let file = File::open(&path)
        .with_context(|| format!("cannot open {}: is the lab up?", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("cannot enter {}", path.display()))
}

/// Cuts a host off, or connects it again, by taking down the bridge's end of its cable.
pub fn connect(host: &str, connected: bool) -> anyhow::Result<()> {
    let port = plan::port(host);
    let state = if connected { "up" } else { "down" };
    ip(&format!("-n {NAMESPACE} link set {port} {state}"))
        .with_context(|| format!("cannot take the cable of {host} {state}: does it run?"))
}

/// Removes a host's cable, which the kernel may still hold for a moment after the host's last process.
pub fn unplug(host: &str) -> anyhow::Result<()> {
    let port = plan::port(host);
    let deadline = Instant::now() + Duration::from_secs(10);
    while succeeds(&mut command("ip", ["-n", NAMESPACE, "link", "show", "dev", &port])) {
        // Fails when the kernel was faster.
        let _ = ip(&format!("-n {NAMESPACE} link delete {port}"));
        if Instant::now() > deadline {
            bail!("the cable {port} of {host} does not go away");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Tells whether the bridge's end of a host's cable is there and up.
pub fn is_connected(host: &str) -> bool {
    let port = plan::port(host);
    let line = ["-n", NAMESPACE, "link", "show", "dev", &port, "up"];
    succeeds(&mut command("ip", line))
        && output(&mut command("ip", line)).is_ok_and(|said| !said.is_empty())
}

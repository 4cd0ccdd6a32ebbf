//! Which host this is, and since when.

use anyhow::{Context, Result};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

/// The name this host goes by, as kubeadm would name its Node: lower case, no domain removed.
pub fn hostname() -> Result<String> {
    let name = nix::unistd::gethostname().context("read the name of this host")?;
    Ok(name.to_string_lossy().trim().to_lowercase())
}

/// The addresses of this host, IPv4 before IPv6, loopback left out.
pub fn addresses() -> Result<Vec<IpAddr>> {
    let four = crate::file::read_text("/proc/net/fib_trie")?.unwrap_or_default();
    let six = crate::file::read_text("/proc/net/if_inet6")?.unwrap_or_default();
    let mut found: Vec<IpAddr> =
        local_v4(&four).into_iter().chain(local_v6(&six)).filter(|ip| !ip.is_loopback()).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// The address this host would send from to reach another. Nothing is sent.
pub fn source_address(toward: SocketAddr) -> Result<IpAddr> {
    let any: SocketAddr =
        if toward.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).context("open a socket")?;
    let local = socket.connect(toward).and_then(|()| socket.local_addr());
    Ok(local.with_context(|| format!("find a route to {}", toward.ip()))?.ip())
}

/// The kernel's name for the time since the last boot.
pub fn boot_id() -> Result<String> {
    let text = crate::file::read_text("/proc/sys/kernel/random/boot_id")?;
    text.map(|id| id.trim().to_owned())
        .context("read /proc/sys/kernel/random/boot_id: no such file")
}

/// How long this host has been up.
pub fn uptime() -> Result<Duration> {
    let text = crate::file::read_text("/proc/uptime")?.unwrap_or_default();
    let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    seconds
        .map(Duration::from_secs_f64)
        .with_context(|| format!("read /proc/uptime: {:?} is no number of seconds", text.trim()))
}

/// The time of this host's clock since 1970-01-01 UTC, to be held against a peer's.
pub fn clock() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// When a process was started, in clock ticks since boot; none when there is no such process. With the boot id and
/// the process id it names one process for ever, however often the id is used again.
pub fn process_start(pid: u32) -> Result<Option<u64>> {
    let stat = crate::file::read_text(format!("/proc/{pid}/stat"))?;
    Ok(stat.as_deref().and_then(start_time))
}

/// Field 22 of proc(5) `/proc/<pid>/stat`; the name in field 2 may hold spaces and parentheses.
fn start_time(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Addresses that the routing table calls local: the line after an address names its scope.
fn local_v4(trie: &str) -> Vec<IpAddr> {
    let lines: Vec<_> = trie.lines().map(str::trim).collect();
    let pairs = lines.iter().zip(lines.iter().skip(1));
    let local = pairs.filter(|(_, scope)| **scope == "/32 host LOCAL");
    local.filter_map(|(address, _)| address.strip_prefix("|-- ")?.parse().ok()).collect()
}

fn local_v6(table: &str) -> Vec<IpAddr> {
    let hex = table.lines().filter_map(|line| line.split_whitespace().next());
    hex.filter_map(|hex| u128::from_str_radix(hex, 16).ok())
        .map(|bits| IpAddr::V6(bits.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_routing_table() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 198.18.0.0\n        /24 link UNICAST\n     |-- 198.18.0.11\n        /32 host LOCAL\n     |-- 198.18.0.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), ["198.18.0.11".parse::<IpAddr>().unwrap()]);
        let table = "fe800000000000000000000000000001 02 40 20 80 eth0\n";
        assert_eq!(local_v6(table), ["fe80::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_process_name_may_hold_anything() {
        let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";
        assert_eq!(start_time(stat), Some(987_654));
    }

    #[test]
    fn this_host_can_be_read() {
        assert!(!hostname().unwrap().is_empty());
        assert_eq!(boot_id().unwrap().len(), 36);
        assert!(uptime().unwrap() > Duration::ZERO && clock() > Duration::ZERO);
        assert!(process_start(std::process::id()).unwrap().is_some());
        assert!(process_start(u32::MAX).unwrap().is_none());
        assert!(source_address("127.0.0.1:1".parse().unwrap()).unwrap().is_loopback());
        assert!(addresses().unwrap().iter().all(|ip| !ip.is_loopback()));
    }
}

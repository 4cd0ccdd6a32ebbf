//! A lane: the network and the disks of one cluster, inside this program's own namespaces.

use anyhow::{Context, bail};
use nix::errno::Errno;
use std::{
    fs,
    io::Write as _,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A tmpfs that only we see.
const OWN: &str = "/run";
/// Room for two log segments, a database, and the copy that a defragmentation makes.
const DISK: &str = "size=320m,mode=0700";

/// Makes a place of our own, and a loopback that is up.
pub fn prepare() -> anyhow::Result<()> {
    tmpfs("mode=0755", Path::new(OWN))?;
    ip("link set lo up")
}

/// Where the files of a lane lie.
pub fn dir(lane: u8) -> PathBuf {
    Path::new(OWN).join(format!("campaign/{lane}"))
}

/// The address of a host in a lane; the bridge is host 1. Off the lab's network, though nobody could meet it here.
pub fn address(lane: u8, host: u8) -> String {
    format!("198.18.{}.{host}", 100 + lane)
}

/// The numbers of hosts.
const HOSTS: RangeInclusive<u8> = 11..=30;

/// A host of one member: a network namespace on the lane's bridge, and a disk.
#[derive(Clone, Debug)]
pub struct Host {
    lane: u8,
    number: u8,
}

impl Host {
    /// Makes the host with this number, from 11 on.
    pub fn new(lane: u8, number: u8) -> anyhow::Result<Self> {
        if !HOSTS.contains(&number) {
            bail!("host {number} is none of {HOSTS:?}");
        }
        let own = Self { lane, number };
        let (name, port, bridge) = (own.namespace(), own.port(), bridge(lane));
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add {port} type veth peer name eth0 netns {name}"))?;
        ip(&format!("link set {port} master {bridge} up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        ip(&format!("-n {name} address add {}/24 dev eth0", own.address()))?;
        fs::create_dir_all(own.disk())?;
        tmpfs(DISK, &own.disk())?;
        Ok(own)
    }

    /// Its address.
    pub fn address(&self) -> String {
        address(self.lane, self.number)
    }

    /// Where its disk is.
    pub fn disk(&self) -> PathBuf {
        dir(self.lane).join(format!("disk{}", self.number))
    }

    /// A command on this host. Not by `ip netns exec`, which makes a mount namespace too.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace())).arg("--").arg(program);
        command
    }

    /// Pulls its plug, or puts it in again.
    pub fn plug(&self, plugged: bool) -> anyhow::Result<()> {
        ip(&format!("link set {} {}", self.port(), if plugged { "up" } else { "down" }))
    }

    /// Throws away, or no longer, what it sends to these addresses: no connection to them lives, in either direction.
    pub fn shun(&self, addresses: &[String], shunned: bool) -> anyhow::Result<()> {
        let verb = if shunned { "replace" } else { "delete" };
        for address in addresses.iter().filter(|address| **address != self.address()) {
            ip(&format!("-n {} route {verb} blackhole {address}/32", self.namespace()))?;
        }
        Ok(())
    }

    /// Fills the disk to the last page, or makes room again.
    pub fn fill(&self, full: bool) -> anyhow::Result<()> {
        let ballast = self.disk().join("ballast");
        if !full {
            return fs::remove_file(&ballast).context("failed to remove the ballast");
        }
        let mut file = fs::File::create(&ballast)?;
        for part in [vec![0_u8; 1 << 20], vec![0_u8; 4096]] {
            loop {
                match file.write_all(&part) {
                    Ok(()) => {}
                    Err(error) if error.raw_os_error() == Some(Errno::ENOSPC as i32) => break,
                    Err(error) => return Err(error).context("failed to write the ballast"),
                }
            }
        }
        Ok(())
    }

    fn namespace(&self) -> String {
        format!("q{}h{}", self.lane, self.number)
    }

    fn port(&self) -> String {
        self.namespace()
    }
}

/// Makes the lane's bridge, on an empty directory.
pub fn open(lane: u8) -> anyhow::Result<()> {
    close(lane);
    let bridge = bridge(lane);
    fs::create_dir_all(dir(lane))?;
    ip(&format!("link add {bridge} type bridge"))?;
    ip(&format!("address add {}/24 dev {bridge}", address(lane, 1)))?;
    ip(&format!("link set {bridge} up"))
}

/// Takes away what there is of a lane. What cannot be taken away is seen when the next one is made.
pub fn close(lane: u8) {
    for number in HOSTS {
        let host = Host { lane, number };
        if Path::new("/run/netns").join(host.namespace()).exists() {
            // by itself it would go with the namespace, but only after a while
            _ = ip(&format!("link delete {}", host.port()));
            _ = ip(&format!("netns delete {}", host.namespace()));
            _ = run(Command::new("umount").arg("--lazy").arg(host.disk()));
        }
    }
    _ = ip(&format!("link delete {}", bridge(lane)));
    _ = fs::remove_dir_all(dir(lane));
}

fn bridge(lane: u8) -> String {
    format!("qbr{lane}")
}

fn tmpfs(options: &str, at: &Path) -> anyhow::Result<()> {
    run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "campaign"]).arg(at))
}

fn ip(words: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(words.split_whitespace()))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, said.trim());
    }
    Ok(())
}

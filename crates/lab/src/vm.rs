//! Power: hosts that boot from a disk, and stop being when the plug is pulled.
//!
//! A host is systemd-nspawn on the loop-mounted disk. The mount lies in a mount namespace of the host's own and
//! goes, with its loop device, when its last process ends; so a host that was killed in any way leaves nothing.

use crate::command::{command, make_dir, run, tail, write};
use crate::plan::{BRIDGE, Host, NAMESPACE};
use crate::{cgroup, network, paths, storage};
use anyhow::{Context, bail};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a host may take from the call to its init.
const BOOT: Duration = Duration::from_secs(20);

/// systemd-nspawn's exit status when the host wants to boot again.
const REBOOT: i32 = 133;
/// A disk that is longer than its file system by less has no use for it.
const GRAIN: u64 = 64 << 20;

/// Boots a host from a disk and returns when its init runs.
///
/// # Errors
/// When the disk cannot be mounted or booted; the host's console says more.
pub fn on(host: Host, disk: Option<&Path>) -> anyhow::Result<()> {
    let _lock = lock(host)?;
    if is_on(host)? {
        return Ok(());
    }
    let disk = match disk {
        Some(disk) => disk.to_owned(),
        None => last_disk(host)?,
    };
    if !disk.is_file() {
        bail!("cannot boot {}: there is no disk {}", host.name, disk.display());
    }
    if !storage::loop_devices(&disk).is_empty() {
        bail!("cannot boot {}: its disk {} is in use", host.name, disk.display());
    }
    network::unplug(host.name)?;
    make_dir(&paths::root(host))?;
    write(&paths::disk_record(host), disk.display().to_string(), 0o644)?;
    let child = start(host, &disk)?;
    await_init(host, child)
}

fn start(host: Host, disk: &Path) -> anyhow::Result<Child> {
    let path = paths::vm(host).join("console.log");
    let console =
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let second = console.try_clone().context("cannot share the console")?;
    // Not its path: a build may just have replaced the file there.
    Command::new("/proc/self/exe")
        .args(["hypervise", host.name])
        .arg(disk)
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(second)
        .spawn()
        .context("cannot start the hypervisor")
}

fn await_init(host: Host, mut child: Child) -> anyhow::Result<()> {
    let deadline = Instant::now() + BOOT;
    loop {
        if init(host)?.is_some() {
            return Ok(());
        }
        let ended = child.try_wait().context("cannot wait for the hypervisor")?;
        if ended.is_some() || Instant::now() > deadline {
            let console =
                fs::read_to_string(paths::vm(host).join("console.log")).unwrap_or_default();
            cgroup::kill_all(host.name)?;
            bail!("cannot boot {}: {}", host.name, tail(console.trim(), 600));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Becomes the hypervisor of one host: takes its place on the machine and boots it until it powers off.
pub fn hypervise(host: Host, disk: &Path) -> anyhow::Result<()> {
    // Whoever asked for the power may be interrupted; the host goes on.
    nix::unistd::setsid().context("cannot leave the session")?;
    cgroup::join(host.name)?;
    network::enter(NAMESPACE)?;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    run(&mut command("mount", ["--make-rslave", "/"]))?;
    grow(disk)?;
    let root = paths::root(host);
    // The storage below keeps no promise to the machine's disk either, see `storage`.
    run(command("mount", ["-t", "ext4", "-o", "loop,noatime,barrier=0"]).args([disk, &root]))?;
    make_dir(Path::new("/run/systemd"))?;
    loop {
        let status = nspawn(host, &root)?.status().context("cannot start systemd-nspawn")?;
        if status.code() != Some(REBOOT) {
            bail!("systemd-nspawn ended with {status}");
        }
        // A reboot is a new machine on the same disk, as far as the network and the control groups go.
        network::unplug(host.name)?;
        cgroup::sweep(host.name)?;
    }
}

/// Extends the file system over the whole disk, as cloud images do at their first boot.
///
/// Before the mount, because the kernel lets only `CAP_SYS_RESOURCE` do it afterwards.
fn grow(disk: &Path) -> anyhow::Result<()> {
    let name = || format!("cannot read {}", disk.display());
    let file = File::open(disk).with_context(name)?;
    let mut superblock = [0; 64];
    file.read_exact_at(&mut superblock, 1024).with_context(name)?;
    let length = file.metadata().with_context(name)?.len();
    if file_system_bytes(&superblock).is_none_or(|bytes| bytes + GRAIN > length) {
        return Ok(());
    }
    // Status 1 means that there was something to correct, which there may be.
    let _ = run(command("e2fsck", ["-f", "-p"]).arg(disk));
    run(command("resize2fs", ["-f"]).arg(disk))
}

/// Returns the size that an ext4 superblock names.
fn file_system_bytes(superblock: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u32::from_le_bytes(superblock.get(at..at + 4)?.try_into().ok()?));
    Some(u64::from(number(4)?) << (10 + number(24)?))
}

fn nspawn(host: Host, root: &Path) -> anyhow::Result<Command> {
    let seed =
        format!("--bind-ro={}:/var/lib/cloud/seed/lab", paths::vm(host).join("seed").display());
    let mut nspawn =
        command("systemd-nspawn", ["--quiet", "--register=no", "--keep-unit", "--settings=no"]);
    nspawn.args([
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--console=read-only",
    ]);
    nspawn.args(["-M", host.name, &format!("--uuid={}", host.uuid()), "-D"]).arg(root);
    nspawn.args([&format!("--network-bridge={BRIDGE}"), "--capability=all"]);
    nspawn.arg("--system-call-filter=add_key keyctl bpf perf_event_open @mount @privileged");
    nspawn.args([&seed, "--bind=/dev/kmsg", "-b"]);
    nspawn.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", if cgroup::is_unified()? { "1" } else { "0" });
    nspawn.env("SYSTEMD_NSPAWN_LOCK", "0");
    Ok(nspawn)
}

/// Pulls the plug and returns when the disk is free.
pub fn off(host: Host) -> anyhow::Result<()> {
    let _lock = lock(host)?;
    if let Some(init) = init(host)? {
        // A fault that was killed halfway left the disk frozen, and its writers cannot even be killed.
        let _ = run(&mut command("fsfreeze", ["--unfreeze", &format!("/proc/{init}/root")]));
    }
    cgroup::kill_all(host.name)?;
    let Ok(disk) = last_disk(host) else { return Ok(()) };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !storage::loop_devices(&disk).is_empty() {
        if Instant::now() > deadline {
            bail!(
                "the disk {} of {} is still in use by another process",
                disk.display(),
                host.name
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Asks the host's init to power off, as the power button does, and returns at once.
pub fn shutdown(host: Host) -> anyhow::Result<()> {
    let Some(init) = init(host)? else { return Ok(()) };
    run(&mut command("kill", ["-s", "RTMIN+4", &init.to_string()]))
}

/// Tells whether anything of the host is there: a process, or its disk still being written out.
pub fn is_on(host: Host) -> anyhow::Result<bool> {
    let busy = || last_disk(host).is_ok_and(|disk| !storage::loop_devices(&disk).is_empty());
    Ok(!cgroup::processes(host.name)?.is_empty() || busy())
}

/// Returns the host's process 1, by its number on this machine.
pub fn init(host: Host) -> anyhow::Result<Option<i32>> {
    Ok(cgroup::processes(host.name)?.into_iter().find(|pid| {
        fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| is_init(&status))
    }))
}

/// Process 1 of the host itself; those of its containers live one namespace deeper.
fn is_init(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    numbers.len() == 2 && numbers.last() == Some(&"1")
}

/// Returns the host's files as its own processes see them.
pub fn files(host: Host) -> anyhow::Result<PathBuf> {
    let init = init(host)?.with_context(|| format!("the host {} is off", host.name))?;
    Ok(PathBuf::from(format!("/proc/{init}/root")))
}

/// Returns the disk that the host was booted from last.
pub fn last_disk(host: Host) -> anyhow::Result<PathBuf> {
    match fs::read_to_string(paths::disk_record(host)) {
        Ok(text) => Ok(PathBuf::from(text.trim())),
        Err(_) => paths::first_disk(host),
    }
}

/// Pulls every plug, also of hosts that an older lab knew.
pub fn all_off() -> anyhow::Result<()> {
    for host in crate::plan::hosts() {
        off(host)?;
    }
    for name in cgroup::hosts()? {
        cgroup::kill_all(&name)?;
    }
    Ok(())
}

/// One change of a host's power at a time.
fn lock(host: Host) -> anyhow::Result<File> {
    let dir = paths::vm(host);
    make_dir(&dir)?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_superblock_says_how_long_the_file_system_is() {
        let mut superblock = [0; 64];
        superblock[4..8].copy_from_slice(&1_048_576_u32.to_le_bytes());
        superblock[24..28].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(file_system_bytes(&superblock), Some(4 << 30));
    }

    #[test]
    fn only_the_hosts_own_process_1_is_its_init() {
        assert!(is_init("Name:\tsystemd\nNSpid:\t4711\t1\n"));
        assert!(!is_init("Name:\tetcd\nNSpid:\t4811\t90\t1\n"));
        assert!(!is_init("Name:\tsystemd-nspawn\nNSpid:\t4710\n"));
    }
}

//! The PVE API: the Python program of `pve/` over the lab's disks and power.

use crate::command::{in_namespace, make_dir, output, tail, write};
use crate::plan::{self, CONTROL_PLANES, Host, PVE_NAMESPACE};
use crate::{cgroup, paths};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The control group of the program, beside those of the hosts.
const GROUP: &str = "pve";
pub const USER: &str = "quorate@pve";
pub const TOKEN_ID: &str = "lab";

/// Starts the program and returns when it listens.
///
/// # Errors
/// When it ends instead; its log says why.
pub fn up(python: &Path) -> anyhow::Result<()> {
    let dir = paths::run("pve");
    make_dir(&dir)?;
    let secret = secret()?;
    let config = config(
        &paths::live()?,
        &secret,
        &std::env::current_exe().context("cannot find this program")?,
    );
    let path = dir.join("guests.json");
    write(&path, serde_json::to_vec_pretty(&config).context("cannot write the guests")?, 0o600)?;
    let log = dir.join("log");
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let second = file.try_clone().context("cannot share the log")?;
    // This program, even if a build just replaced its file; inside `nsenter` it can only be named by its process.
    let own = format!("/proc/{}/exe", std::process::id());
    let child = in_namespace(PVE_NAMESPACE)
        .arg(own)
        .arg("serve-pve")
        .arg(python)
        .arg(&path)
        .stdout(file)
        .stderr(second)
        .spawn()
        .context("cannot start the PVE program")?;
    await_line(child, &log)
}

fn await_line(mut child: Child, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        if said.contains("listening on") {
            return Ok(());
        }
        let ended = child.try_wait().context("cannot wait for the PVE program")?;
        if ended.is_some() || Instant::now() > deadline {
            bail!("the PVE program does not listen: {}", tail(said.trim(), 1000));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Becomes the PVE program, in its own session and control group, so that nothing it starts is lost sight of.
pub fn serve(python: &Path, config: &Path) -> anyhow::Result<()> {
    nix::unistd::setsid().context("cannot leave the session")?;
    cgroup::join(GROUP)?;
    let error = std::process::Command::new(python.join("bin/python"))
        .arg(program())
        .arg(config)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .exec();
    Err(error).context("cannot start Python")
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pve/serve.py")
}

/// Tells the program of a fault that it shall have, and returns its answer.
///
/// # Errors
/// When the lab is down, or the program does not know the fault.
pub fn fault(what: &str, given: &str) -> anyhow::Result<String> {
    let log = paths::run("pve").join("log");
    let said = fs::read_to_string(&log)
        .with_context(|| format!("cannot read {}: is the lab up?", log.display()))?;
    let url =
        control(&said).with_context(|| format!("{} names no address for faults", log.display()))?;
    // The address is on the loopback of a namespace that nothing else is in.
    let mut curl = in_namespace(PVE_NAMESPACE);
    curl.args(["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "10"]);
    output(curl.args(["--data", given, &format!("{url}/{what}")]))
}

fn control(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("control on "))
}

/// Ends the program.
pub fn down() -> anyhow::Result<()> {
    cgroup::kill_all(GROUP)
}

pub fn is_up() -> bool {
    cgroup::processes(GROUP).is_ok_and(|found| !found.is_empty())
}

/// Returns the token's secret, made once for as long as the lab is up.
pub fn secret() -> anyhow::Result<String> {
    let path = paths::run("pve-token");
    if let Ok(text) = fs::read_to_string(&path) {
        return Ok(text.trim().to_owned());
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid")
        .context("cannot read a random number")?;
    write(&path, &text, 0o600)?;
    Ok(text.trim().to_owned())
}

fn config(live: &Path, secret: &str, own: &Path) -> Value {
    json!({
        "listen": plan::PVE_ADDRESS,
        "port": plan::PVE_PORT,
        "node": plan::PVE_NODE,
        "ca": paths::run("pve").join("ca.pem"),
        "user": USER,
        "token_id": TOKEN_ID,
        "token_secret": secret,
        "state": live.join("pve-state.json"),
        "storages": {
            plan::IMPORT_STORAGE: live.join(plan::IMPORT_STORAGE),
            plan::DISK_STORAGE: live.join(plan::DISK_STORAGE),
        },
        "power": [own, "power"],
        "control": true,
        "guests": CONTROL_PLANES.iter().filter_map(|host| guest(*host)).collect::<Vec<_>>(),
    })
}

fn guest(host: Host) -> Option<Value> {
    let vmid = host.vmid?;
    Some(json!({
        "vmid": vmid,
        "name": host.name,
        "uuid": host.uuid(),
        "mac": host.mac(),
        "address": host.address(),
        "cores": 2,
        "memory": 4096,
        "disk": format!("{}:vm-{vmid}-disk-0", plan::DISK_STORAGE),
        "size": plan::DISK_BYTES,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_for_faults_is_the_one_that_the_program_printed() {
        let said = "control on http://127.0.0.1:4711\nlistening on https://198.18.0.5:8006\n";
        assert_eq!(control(said), Some("http://127.0.0.1:4711"));
        assert_eq!(control("listening on https://198.18.0.5:8006\n"), None);
    }

    #[test]
    fn a_guest_is_described_as_the_hosts_are_booted() {
        let config = config(Path::new("/cache/live"), "s", Path::new("/bin/lab"));
        assert_eq!(config.pointer("/guests/1/name"), Some(&json!("cp2")));
        assert_eq!(config.pointer("/guests/1/disk"), Some(&json!("lab:vm-102-disk-0")));
        assert_eq!(config.pointer("/storages/lab"), Some(&json!("/cache/live/lab")));
        assert_eq!(plan::first_disk(102), "lab/102/vm-102-disk-0.raw");
        assert_eq!(config.pointer("/power"), Some(&json!(["/bin/lab", "power"])));
    }
}

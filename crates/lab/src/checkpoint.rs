//! Copies of the whole lab's state, to come back to.

use crate::command::{remove_tree, require_root, write};
use crate::plan;
use crate::up::{Power, boot_all, lock, python};
use crate::{paths, pve, say, storage, vm};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn directory(name: &str) -> anyhow::Result<PathBuf> {
    if !is_name(name) {
        bail!("a checkpoint's name has letters, digits, `-` and `_` only; got {name:?}");
    }
    Ok(paths::storage()?.join("checkpoints").join(name))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Pulls all plugs, copies disks and PVE state, and boots again what was on.
pub fn save(name: &str) -> anyhow::Result<()> {
    require_root()?;
    let _lock = lock()?;
    let to = directory(name)?;
    require_up()?;
    let began = Instant::now();
    let hosts = plan::hosts()
        .map(|host| Ok(Power { host, disk: vm::last_disk(host)?, on: vm::is_on(host)? }))
        .collect::<anyhow::Result<Vec<_>>>()?;
    stop()?;
    let live = paths::live()?;
    write(&live.join("power.json"), power_json(&hosts).to_string(), 0o644)?;
    storage::replace(&live, &to)?;
    say(&format!("saved {name:?} in {:.1} s", began.elapsed().as_secs_f64()));
    boot_all(&python()?, &hosts)
}

/// Pulls all plugs, puts a checkpoint's disks and PVE state back, and boots what was on.
pub fn restore(name: &str) -> anyhow::Result<()> {
    require_root()?;
    let _lock = lock()?;
    let from = directory(name)?;
    require_up()?;
    if !from.is_dir() {
        bail!("there is no checkpoint {name:?}; there are: {}", list()?.join(", "));
    }
    stop()?;
    let live = paths::live()?;
    storage::replace(&from, &live)?;
    let path = live.join("power.json");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    boot_all(&python()?, &read_power(&serde_json::from_str(&text)?, &live))
}

/// Forgets a checkpoint.
pub fn remove(name: &str) -> anyhow::Result<()> {
    require_root()?;
    remove_tree(&directory(name)?)
}

/// Returns the names of the checkpoints.
pub fn list() -> anyhow::Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(paths::storage()?.join("checkpoints")) else {
        return Ok(Vec::new());
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_name(name));
    names.sort();
    Ok(names)
}

fn stop() -> anyhow::Result<()> {
    pve::down()?;
    vm::all_off()
}

fn require_up() -> anyhow::Result<()> {
    if !storage::is_mounted(&paths::storage()?) {
        bail!("the lab is down; bring it up first: cargo xtask lab up");
    }
    Ok(())
}

/// Disks are named relative to the live ones: the cache may lie elsewhere another day.
fn power_json(hosts: &[Power]) -> Value {
    let live = paths::live().unwrap_or_default();
    let one = |power: &Power| {
        let disk = power.disk.strip_prefix(&live).unwrap_or(&power.disk);
        json!({"host": power.host.name, "disk": disk, "on": power.on})
    };
    hosts.iter().map(one).collect()
}

fn read_power(value: &Value, live: &Path) -> Vec<Power> {
    let one = |entry: &Value| {
        let host = plan::host(entry.get("host")?.as_str()?)?;
        Some(Power {
            host,
            disk: live.join(entry.get("disk")?.as_str()?),
            on: entry.get("on")?.as_bool()?,
        })
    };
    value.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_read_as_it_was_written() {
        let live = paths::live().unwrap();
        let host = plan::host("cp2").unwrap();
        let hosts = [Power { host, disk: live.join("lab/102/vm-102-disk-1.raw"), on: false }];
        let written = power_json(&hosts);
        assert_eq!(
            written.to_string(),
            r#"[{"disk":"lab/102/vm-102-disk-1.raw","host":"cp2","on":false}]"#
        );
        assert_eq!(read_power(&written, &live), hosts);
    }

    #[test]
    fn a_name_is_not_a_path() {
        assert!(is_name("before-swap_1"));
        assert!(!is_name("../live"));
        assert!(!is_name(""));
    }
}

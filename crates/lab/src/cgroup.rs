//! The lab's own control groups: one for each host, in every hierarchy.
//!
//! Without them all kubelets of one machine would share one `kubepods`. They are also how the lab knows what runs
//! on a host and how it pulls the plug: a process cannot leave its host's group. No other group is touched.

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const GROUP: &str = "quorate-lab";

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    root: PathBuf,
    unified: bool,
}

fn hierarchies() -> anyhow::Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    let found = parse_mounts(&mounts);
    if found.is_empty() {
        bail!("no cgroup hierarchy is mounted below /sys/fs/cgroup");
    }
    Ok(found)
}

fn parse_mounts(mounts: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(root), Some(kind)) = (words.next(), words.next()) else { continue };
        let root = PathBuf::from(root);
        let known = found.iter().any(|hierarchy| hierarchy.root == root);
        if matches!(kind, "cgroup" | "cgroup2") && root.starts_with("/sys/fs/cgroup") && !known {
            found.push(Hierarchy { root, unified: kind == "cgroup2" });
        }
    }
    found
}

/// Tells whether the machine has only the unified hierarchy.
pub fn is_unified() -> anyhow::Result<bool> {
    Ok(hierarchies()?.iter().all(|hierarchy| hierarchy.unified))
}

/// Makes the groups of a host and moves this process into them.
pub fn join(host: &str) -> anyhow::Result<()> {
    let all = hierarchies()?;
    let alone = all.iter().all(|hierarchy| hierarchy.unified);
    for hierarchy in &all {
        let mut dir = hierarchy.root.clone();
        for name in [GROUP, host] {
            if hierarchy.unified && alone {
                delegate(&dir)?;
            }
            let parent = dir.clone();
            dir.push(name);
            fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make the cgroup {}", dir.display()))?;
            inherit(&parent, &dir)?;
        }
        let procs = dir.join("cgroup.procs");
        fs::write(&procs, "0")
            .with_context(|| format!("cannot join the cgroup {}", dir.display()))?;
    }
    Ok(())
}

/// Lets the groups below use what this one may use (version 2).
fn delegate(dir: &Path) -> anyhow::Result<()> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let enabled = read("cgroup.subtree_control");
    for controller in read("cgroup.controllers").split_whitespace() {
        if !enabled.split_whitespace().any(|word| word == controller) {
            let file = dir.join("cgroup.subtree_control");
            fs::write(&file, format!("+{controller}"))
                .with_context(|| format!("cannot enable {controller} in {}", file.display()))?;
        }
    }
    Ok(())
}

/// Copies the processors and memory nodes: a new cpuset group of version 1 has none and takes no process.
fn inherit(parent: &Path, dir: &Path) -> anyhow::Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = dir.join(name);
        if fs::read_to_string(&file).is_ok_and(|text| text.trim().is_empty()) {
            let value = fs::read_to_string(parent.join(name)).unwrap_or_default();
            // The unified hierarchy reads an empty value as "what the parent has".
            if !value.trim().is_empty() {
                fs::write(&file, value.trim())
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    Ok(())
}

/// Returns the processes of a host.
pub fn processes(host: &str) -> anyhow::Result<Vec<i32>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        collect(&hierarchy.root.join(GROUP).join(host), &mut found);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn collect(dir: &Path, found: &mut Vec<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // 0 is a process of another pid namespace, which is nobody's here.
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for child in children(dir) {
        collect(&child, found);
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Kills every process of a host and removes its groups.
pub fn kill_all(host: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left: Vec<i32> = processes(host)?.into_iter().filter(|pid| *pid != own_pid()).collect();
        if left.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            bail!(
                "processes {left:?} of {host} do not end; they may hang in the kernel, see /proc/<pid>/stack"
            );
        }
        for pid in left {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    remove(host);
    Ok(())
}

fn own_pid() -> i32 {
    Pid::this().as_raw()
}

fn remove(host: &str) {
    for hierarchy in hierarchies().unwrap_or_default() {
        remove_groups(&hierarchy.root.join(GROUP).join(host));
    }
}

/// Removes the groups that a host made in its own.
pub fn sweep(host: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        for dir in children(&hierarchy.root.join(GROUP).join(host)) {
            remove_groups(&dir);
        }
    }
    Ok(())
}

fn remove_groups(dir: &Path) {
    for child in children(dir) {
        remove_groups(&child);
    }
    // A group that a dying process still holds goes with the next call.
    let _ = fs::remove_dir(dir);
}

/// Returns the names of the hosts that have groups.
pub fn hosts() -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = hierarchies()?
        .iter()
        .flat_map(|hierarchy| children(&hierarchy.root.join(GROUP)))
        .filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Removes the lab's group itself; the hosts' must be gone.
pub fn remove_own() -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut left = Vec::new();
        for hierarchy in hierarchies()? {
            let dir = hierarchy.root.join(GROUP);
            remove_groups(&dir);
            left.extend(dir.exists().then_some(dir));
        }
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("cannot remove the cgroups {left:?}: something still runs in them");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Pushes the pages of a process and its siblings (the pod, in Kubernetes) out of memory, mapped ones too, so that
/// the next access reads the disk.
pub fn reclaim(pid: i32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let group = memory_group(&text).with_context(|| format!("{path} names no memory cgroup"))?;
    // The pages may belong to an earlier container of the same pod; those went to the group above.
    let group = Path::new(group)
        .parent()
        .unwrap_or(Path::new(""))
        .strip_prefix("/")
        .unwrap_or(Path::new(""));
    for hierarchy in hierarchies()? {
        for (name, value) in [("memory.force_empty", "0"), ("memory.reclaim", "1G")] {
            let file = hierarchy.root.join(group).join(name);
            if group.starts_with(GROUP) && file.exists() {
                // Version 2 answers EAGAIN when there was less than was asked for, which is what is wanted here.
                let _ = fs::write(&file, value);
                return Ok(());
            }
        }
    }
    bail!("the memory cgroup {} is not the lab's or cannot be emptied", group.display());
}

/// `4:memory:/quorate-lab/cp2/kubepods/...`, or `0::/...` where there is only the unified hierarchy.
fn memory_group(text: &str) -> Option<&str> {
    let parts =
        || text.lines().filter_map(|line| line.splitn(3, ':').collect::<Vec<_>>().try_into().ok());
    let memory =
        parts().find(|[_, kinds, _]: &[&str; 3]| kinds.split(',').any(|kind| kind == "memory"));
    memory.or_else(|| parts().find(|[number, _, _]| *number == "0")).map(|[_, _, path]| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_group_is_found_in_both_versions() {
        assert_eq!(
            memory_group("5:devices:/a\n4:memory:/quorate-lab/cp2/x\n0::/b\n"),
            Some("/quorate-lab/cp2/x")
        );
        assert_eq!(memory_group("0::/quorate-lab/cp2/y\n"), Some("/quorate-lab/cp2/y"));
        assert_eq!(memory_group(""), None);
    }

    #[test]
    fn hierarchies_of_both_versions_are_found_once() {
        let mounts = "proc /proc proc rw 0 0\ntmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /mnt/other cgroup rw 0 0\n";
        let hierarchy = |root: &str, unified| Hierarchy { root: PathBuf::from(root), unified };
        assert_eq!(
            parse_mounts(mounts),
            [hierarchy("/sys/fs/cgroup/cpu", false), hierarchy("/sys/fs/cgroup/unified", true)]
        );
    }
}

//! `cargo xtask campaign`: long fault campaigns over the lab.

use crate::{
    ansible::{Ansible, inventory},
    deps,
    run::{ask, execute, is_root, run_reading, say, target_dir},
    stage,
    steps::Tally,
};
use anyhow::{Context, bail};
use std::{fs, process::Stdio};

const TARGET: &str = "cp2";
/// The state every run of the campaign begins in.
const START: &str = "campaign-start";
/// More boundaries than the playbook has tasks.
const MANY: usize = 200;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let (boundaries, release) = match args {
        [name] if name == "kill" => (None, true),
        [name, list] if name == "kill" => {
            let parsed: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
            (Some(parsed.context("boundaries are numbers of tasks, as in 3,7,12")?), true)
        }
        _ => bail!(
            "campaigns: kill [<task numbers, as in 3,7,12>] (kill -9 of ansible-playbook at every task boundary in turn, each time run again)"
        ),
    };
    if !is_root() {
        bail!("the campaign boots hosts and needs root");
    }
    deps::all(true)?;
    let staged = if release { stage::release_here()? } else { stage::dev()? };
    let ansible = Ansible::new(staged, target_dir().join("campaign"))?;
    execute(&mut ansible.lab(&["up"]))?;
    let tally = kill(&ansible, boundaries)?;
    execute(&mut ansible.lab(&["down"]))?;
    say(&format!("{} passed, {} failed", tally.passed, tally.failed));
    if tally.failed > 0 {
        bail!("a run that was killed did not end as it should");
    }
    Ok(())
}

/// Three boundaries in a lab that is brought up for it: a step of `cargo xtask test`.
pub fn three_boundaries() -> anyhow::Result<Tally> {
    let ansible = Ansible::new(stage::dev()?, target_dir().join("campaign"))?;
    execute(&mut ansible.lab(&["up"]))?;
    let three = chosen(tasks(&ansible)?)?;
    say(&format!("the commit's hash chooses the boundaries {three:?}"));
    kill(&ansible, Some(three))
}

/// Kills the playbook at the given task boundaries, or at each in turn until it ends by itself, and runs it again each time.
fn kill(ansible: &Ansible, boundaries: Option<Vec<usize>>) -> anyhow::Result<Tally> {
    execute(&mut ansible.lab(&["checkpoint", "save", START]))?;
    let (all, mut tally) = (boundaries.is_none(), Tally::default());
    for boundary in boundaries.unwrap_or_else(|| (1..MANY).collect()) {
        say(&format!("\n-- killed at task {boundary}, run again"));
        match once(ansible, boundary) {
            Ok(reached) => {
                tally.passed += 1;
                if all && !reached {
                    say(&format!("the playbook has {} tasks", boundary - 1));
                    break;
                }
            }
            Err(error) => {
                say(&format!("error: killed at task {boundary}: {error:#}"));
                tally.failed += 1;
            }
        }
    }
    execute(&mut ansible.lab(&["checkpoint", "remove", START]))?;
    Ok(tally)
}

/// Says whether the playbook came to that boundary.
fn once(ansible: &Ansible, boundary: usize) -> anyhow::Result<bool> {
    execute(&mut ansible.lab(&["checkpoint", "restore", START]))?;
    let reached = killed(ansible, boundary)?;
    finishes(ansible)?;
    Ok(reached)
}

/// Runs the playbook until the task with this number is about to start. Says whether it came to that.
fn killed(ansible: &Ansible, boundary: usize) -> anyhow::Result<bool> {
    let mut playbook = replacement(ansible, true)?;
    playbook.env("QUORATE_KILL_AT", boundary.to_string()).stdin(Stdio::null());
    let mut recap = false;
    let ended = run_reading(&mut playbook, |line| recap |= line.starts_with("PLAY RECAP"))?;
    if recap && !ended {
        bail!("the run failed before it was killed");
    }
    Ok(!recap)
}

/// The run after the kill ends well, the one after that changes nothing, and tools that are not ours agree.
fn finishes(ansible: &Ansible) -> anyhow::Result<()> {
    if !run_reading(&mut replacement(ansible, true)?, |_| ())? {
        bail!("the run after the kill failed");
    }
    let mut changed = None;
    let again = run_reading(&mut replacement(ansible, false)?, |line| {
        changed = changed.or(changed_in_recap(line));
    })?;
    if !again || changed != Some(0) {
        bail!("the run after that changed something, or failed: changed={changed:?}");
    }
    agrees(ansible)
}

/// Three started voters and three Ready nodes, by etcdctl and kubectl.
pub fn agrees(ansible: &Ansible) -> anyhow::Result<()> {
    let members = ansible.on("cp1", ETCDCTL)?;
    let voters = members
        .lines()
        .filter(|line| line.contains(", started,") && line.trim_end().ends_with(", false"))
        .count();
    if voters != 3 || members.lines().count() != 3 {
        bail!("expected three started voters, etcdctl lists:\n{members}");
    }
    let nodes = ansible
        .on("cp1", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --no-headers")?;
    let ready =
        nodes.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count();
    if ready != 3 {
        bail!("expected three Ready and schedulable nodes, kubectl lists:\n{nodes}");
    }
    Ok(())
}

const ETCDCTL: &str = "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt \
    --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key member list";

/// The playbook over a healthy node, because a campaign needs no fault that looks different each time.
fn replacement(ansible: &Ansible, even_if_healthy: bool) -> anyhow::Result<std::process::Command> {
    let target = format!("target={TARGET}");
    let fetch = format!("snapshot_fetch_dir={}/", ansible.dir.join("snapshots").display());
    let healthy = format!("even_if_healthy={even_if_healthy}");
    ansible.playbook("replace_control_plane_node", &["-e", &target, "-e", &fetch, "-e", &healthy])
}

/// The number behind `changed=` in the recap's line of the target.
pub fn changed_in_recap(line: &str) -> Option<u64> {
    let counts = line.strip_prefix(TARGET)?.trim_start().strip_prefix(':')?;
    counts
        .split_whitespace()
        .find_map(|word| word.strip_prefix("changed="))
        .and_then(|count| count.parse().ok())
}

/// Three boundaries that the commit's hash chooses, out of so many tasks: every commit tries others, and each can be tried again.
pub fn chosen(tasks: usize) -> anyhow::Result<Vec<usize>> {
    let hash = ask(&mut crate::run::command("git", ["rev-parse", "HEAD"]))?;
    let digits = |from: usize| {
        hash.get(from..from + 6)
            .and_then(|hex| usize::from_str_radix(hex, 16).ok())
            .unwrap_or_default()
    };
    let mut three: Vec<usize> =
        [0, 6, 12].map(|from| 2 + digits(from) % tasks.max(4).saturating_sub(2)).to_vec();
    three.sort_unstable();
    three.dedup();
    Ok(three)
}

/// The number of tasks that `--list-tasks` shows.
pub fn tasks(ansible: &Ansible) -> anyhow::Result<usize> {
    fs::metadata(inventory()).context("the lab is down")?;
    let mut list = replacement(ansible, true)?;
    Ok(ask(list.arg("--list-tasks"))?.lines().filter(|line| line.contains("TAGS: [")).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recap_is_read() {
        assert_eq!(
            changed_in_recap(
                "cp2                        : ok=31   changed=4    unreachable=0    failed=0"
            ),
            Some(4)
        );
        assert_eq!(changed_in_recap("localhost : ok=1 changed=0"), None);
    }
}

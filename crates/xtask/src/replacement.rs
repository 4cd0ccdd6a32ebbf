//! The replacement of a node of the lab by its playbook: run, killed, run again, and what must hold afterwards.

use crate::{
    ansible::Ansible,
    run::{ask, run_reading},
};
use anyhow::{Context, bail};
use std::process::{Command, Stdio};

/// The playbook for one node.
pub struct Replacement<'a> {
    pub ansible: &'a Ansible,
    pub target: &'a str,
}

/// How a run ended that was to be killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By the kill.
    Killed,
    /// By itself and well, before it came to that task.
    Well,
}

impl Replacement<'_> {
    /// The playbook, as a user runs it, and whether it is to replace a node that is healthy.
    pub fn command(&self, even_if_healthy: bool) -> anyhow::Result<Command> {
        let target = format!("target={}", self.target);
        let fetch = format!("snapshot_fetch_dir={}/", self.ansible.dir.join("snapshots").display());
        let healthy = format!("even_if_healthy={even_if_healthy}");
        let words = ["-e", &target, "-e", &fetch, "-e", &healthy];
        let mut playbook = self.ansible.playbook("replace_control_plane_node", &words)?;
        playbook.stdin(Stdio::null());
        Ok(playbook)
    }

    /// Runs the playbook until the task with this number, or whose name begins so, is about to start.
    pub fn killed(&self, task: &str) -> anyhow::Result<Ended> {
        let mut playbook = self.command(true)?;
        playbook.env("QUORATE_KILL_AT", task);
        let mut recap = false;
        let ended = run_reading(&mut playbook, |line| recap |= line.starts_with("PLAY RECAP"))?;
        match (recap, ended) {
            (true, false) => bail!("the run failed before it was killed"),
            (true, true) => Ok(Ended::Well),
            (false, _) => Ok(Ended::Killed),
        }
    }

    /// Runs the playbook, which is to fail, and returns what it printed.
    pub fn fails(&self, playbook: &mut Command) -> anyhow::Result<String> {
        let mut said = String::new();
        let ended = run_reading(playbook, |line| {
            said.push_str(line);
            said.push('\n');
        })?;
        if ended {
            bail!("the run of the playbook for {} was to fail, and did not", self.target);
        }
        Ok(said)
    }

    /// The next run ends well, the one after that changes nothing, and tools that are not ours agree.
    pub fn finishes(&self) -> anyhow::Result<()> {
        if !run_reading(&mut self.command(true)?, |_| ())? {
            bail!("the run after the interruption failed");
        }
        self.has_finished()
    }

    /// Another run changes nothing, and tools that are not ours agree.
    pub fn has_finished(&self) -> anyhow::Result<()> {
        let changed = self.changes(&mut self.command(false)?)?;
        if changed != 0 {
            bail!("another run changed {changed} things");
        }
        agrees(self.ansible)
    }

    /// Runs the playbook, which is to end well, and returns how many tasks changed something on the target or in its name.
    pub fn changes(&self, playbook: &mut Command) -> anyhow::Result<u64> {
        let mut changed = None;
        let ended = run_reading(playbook, |line| {
            changed = changed.or(changed_in_recap(line, self.target));
        })?;
        if !ended {
            bail!("another run of the playbook for {} failed", self.target);
        }
        changed.context("the playbook printed no recap")
    }

    /// The number of tasks that `--list-tasks` shows.
    pub fn tasks(&self) -> anyhow::Result<usize> {
        let mut list = self.command(true)?;
        Ok(ask(list.arg("--list-tasks"))?.lines().filter(|line| line.contains("TAGS: [")).count())
    }
}

/// What etcdctl prints of the members, asked on a host.
pub fn members(ansible: &Ansible, host: &str) -> anyhow::Result<String> {
    ansible.on(host, ETCDCTL)
}

/// Three started voters and three Ready nodes, by etcdctl and kubectl.
fn agrees(ansible: &Ansible) -> anyhow::Result<()> {
    let members = members(ansible, "cp1")?;
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

// How etcdctl reaches the member of the host that it runs on.
const ETCDCTL: &str = "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt \
    --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key member list";

/// The number behind `changed=` in the recap's line of a host.
fn changed_in_recap(line: &str, host: &str) -> Option<u64> {
    let counts = line.strip_prefix(host)?.trim_start().strip_prefix(':')?;
    counts
        .split_whitespace()
        .find_map(|word| word.strip_prefix("changed="))
        .and_then(|count| count.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recap_is_read() {
        let line = "cp2                        : ok=31   changed=4    unreachable=0    failed=0";
        assert_eq!(changed_in_recap(line, "cp2"), Some(4));
        assert_eq!(changed_in_recap(line, "cp3"), None);
        assert_eq!(changed_in_recap("localhost : ok=1 changed=0", "cp2"), None);
    }
}

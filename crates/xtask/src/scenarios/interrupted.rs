//! One replacement that is interrupted again and again, each time at a place where something is half done.

use super::file;
use crate::{
    ansible::Ansible,
    replacement::{Ended, Replacement, members},
    run::{execute, say, wait_until},
};
use anyhow::{Context, bail};
use std::{path::Path, process::Command, time::Duration};

const TARGET: &str = "cp2";
const VMID: u32 = 102;
/// A disk that somebody else left unused, and that is none of our business.
const STALE: &str = "lab:vm-102-disk-77";

pub fn run(ansible: &Ansible) -> anyhow::Result<()> {
    let replacement = Replacement { ansible, target: TARGET };
    pve(ansible, "vm", &format!(r#"{{"vmid": {VMID}, "config": {{"unused0": "{STALE}"}}}}"#))?;

    say("\n-- killed after the Node was deleted");
    if replacement.killed("Prove that the lock is still held, before the disk is replaced")?
        != Ended::Killed
    {
        bail!("the playbook has no such task any more");
    }

    say("\n-- cut off between import and resize");
    pve(ansible, "task", r#"{"type": "resize", "fail": "storage is not online", "times": 1}"#)?;
    expect(&replacement.fails(&mut replacement.command(true)?)?, "storage is not online")?;

    say("\n-- the host brings another version");
    let mut wrong = prepared(&replacement, &file("wrong_version.yml"))?;
    expect(&replacement.fails(&mut wrong)?, "v1.35.0")?;

    say("\n-- killed with the learner added, kubeadm too");
    kill_at_learner(&replacement)?;

    say("\n-- and run again");
    replacement.finishes()?;
    let config = pve(ansible, "vm", &format!(r#"{{"vmid": {VMID}}}"#))?;
    if !config.contains(STALE) {
        bail!("the disk {STALE}, which was there before, is gone: {config}");
    }
    pve(ansible, "vm", &format!(r#"{{"vmid": {VMID}, "drop": ["unused0"]}}"#)).map(drop)
}

fn pve(ansible: &Ansible, what: &str, given: &str) -> anyhow::Result<String> {
    crate::run::ask(&mut ansible.lab(&["fault", "pve", what, given]))
}

fn prepared(replacement: &Replacement, tasks: &Path) -> anyhow::Result<Command> {
    let mut playbook = replacement.command(true)?;
    playbook.args(["-e", &format!("prepare_host_tasks={}", tasks.display())]);
    Ok(playbook)
}

fn expect(said: &str, part: &str) -> anyhow::Result<()> {
    if said.contains(part) {
        return Ok(());
    }
    bail!("expected the failure to say {part:?}")
}

/// Kills the run and the join on the host as soon as etcd lists a learner.
fn kill_at_learner(replacement: &Replacement) -> anyhow::Result<()> {
    let ansible = replacement.ansible;
    let mut playbook = prepared(replacement, &file("right_version.yml"))?;
    let mut run = playbook.spawn().context("failed to start the playbook")?;
    let learner = wait_until("a learner is listed", Duration::from_mins(3), || {
        if let Some(status) = run.try_wait()? {
            bail!("the run ended with {status} before it could be killed");
        }
        Ok(members(ansible, "cp1")?.lines().any(|line| line.trim_end().ends_with(", true")))
    });
    // The lab's program has become ansible-playbook by exec: the process is the same.
    run.kill().context("failed to kill the playbook")?;
    run.wait()?;
    learner?;
    execute(&mut ansible.lab(&[
        "exec",
        TARGET,
        "--",
        "systemctl kill --signal=KILL quorate-kubeadm-join.service || true",
    ]))
}

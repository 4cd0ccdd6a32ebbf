//! Two controllers run the same command. The first is paused past its lease in front of the worst step, and continued when the second has finished.

use crate::{
    ansible::Ansible,
    replacement::Replacement,
    run::{execute, say, wait_until},
};
use anyhow::{Context, bail};
use std::io::Read as _;
use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

const TARGET: &str = "cp3";
/// Where the first one is paused: the lock is proven by then, and the machine not yet off.
const PAUSED_AT: &str = "Power the machine off, and prove it";
/// Longer than any task before it, and soon over.
const LEASE: &str = "45s";

pub fn run(ansible: &Ansible) -> anyhow::Result<()> {
    let replacement = Replacement { ansible, target: TARGET };
    say("\n-- the first controller, paused before it switches the power");
    let mut first = replacement.command(true)?;
    first.args(["-e", &format!("lock_duration={LEASE}")]);
    first.env("QUORATE_STOP_AT", PAUSED_AT).stdout(Stdio::piped());
    let mut first = first.spawn().context("failed to start the first controller")?;
    let told = paused_while(&mut first, || {
        say("\n-- the second controller, which waits for the lease to run out");
        let mut second = replacement.command(true)?;
        second.args(["-e", "lock_wait=2m"]);
        execute(&mut second)
    });
    let (ended, said) = told?;
    say("\n-- the first controller, continued");
    say(&said);
    if ended {
        bail!("the first controller went on as if nothing had happened");
    }
    let refused = said.split_once(PAUSED_AT).map_or("", |(_, after)| after);
    if !refused.contains("lock_lost") {
        bail!("the first controller did not fail for its lock right at {PAUSED_AT:?}");
    }
    replacement.has_finished()
}

/// Runs something while the child is stopped, continues it, and returns whether it ended well and what it printed.
fn paused_while(
    child: &mut Child,
    meanwhile: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<(bool, String)> {
    let mut out = child.stdout.take().context("no standard output")?;
    // It must not wait for somebody to read.
    let reader = thread::spawn(move || {
        let mut said = String::new();
        out.read_to_string(&mut said).map(|_| said)
    });
    let done = wait_until("the first controller is paused", Duration::from_mins(3), || {
        if let Some(status) = child.try_wait()? {
            bail!("the first controller ended with {status} before it was paused");
        }
        is_stopped(child.id())
    })
    .and_then(|()| meanwhile());
    let pid = child.id().to_string();
    execute(&mut crate::run::command("kill", ["-s", "CONT", &pid]))?;
    if done.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let said = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    done.map(|()| (status.success(), said))
}

/// Whether a process is stopped by a signal: the field after its name in `/proc/<pid>/stat` is T.
fn is_stopped(pid: u32) -> anyhow::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

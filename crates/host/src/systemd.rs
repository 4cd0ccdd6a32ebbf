//! Units: their state, and long work as units of their own.

use crate::Command;
use anyhow::{Context, Result};
use std::time::Duration;

/// What of a unit is read.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result,MainPID,ExecMainStatus,NRestarts,UnitFileState,InvocationID";
/// systemd kills a service that does not stop after 90 s; kubelet and containerd stop within seconds.
const STOP: Duration = Duration::from_secs(100);

/// A unit, as `systemctl show` tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// Its name, with the suffix.
    pub name: String,
    /// What it does at the moment.
    pub active: Active,
    /// The same, finer and by the kind of unit: `running`, `exited`, `auto-restart`.
    pub sub: String,
    /// How its last run ended: `success`, `exit-code`, `signal`, `timeout`.
    pub result: String,
    /// Its main process; none when there is none.
    pub main_pid: Option<u32>,
    /// The exit status of the main process that ended last.
    pub status: i32,
    /// How often it was restarted by itself.
    pub restarts: u32,
    /// Whether it starts at boot: `enabled`, `disabled`, `static`, `masked`; empty for a transient one.
    pub file_state: String,
    /// Names one run of it, for [`journal_tail`].
    pub invocation: String,
}

/// The `ActiveState` of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Active {
    /// Started, or over and kept (`sub` is `exited`).
    Active,
    /// Started, and reading its configuration again.
    Reloading,
    /// On its way up, the pause between two restarts included.
    Activating,
    /// On its way down.
    Deactivating,
    /// Not started, or ended well.
    Inactive,
    /// Ended badly.
    Failed,
}

impl Unit {
    /// Whether it works, or will without our doing.
    pub fn is_running(&self) -> bool {
        matches!(self.active, Active::Activating | Active::Reloading | Active::Deactivating)
            || (self.active == Active::Active && self.sub != "exited")
    }

    /// Whether it is over and ended well, kept by `RemainAfterExit`.
    pub fn is_done(&self) -> bool {
        self.active == Active::Active
            && self.sub == "exited"
            && self.result == "success"
            && self.status == 0
    }

    /// Whether it is over and ended badly.
    pub fn is_failed(&self) -> bool {
        self.active == Active::Failed
    }
}

/// Reads a unit; none when systemd knows no unit of this name.
pub async fn unit(name: &str) -> Result<Option<Unit>> {
    let show = systemctl(["show", "--property", PROPERTIES, "--", name]).run().await;
    Ok(parse(name, &show.with_context(|| format!("read unit {name}"))?.text()))
}

/// Asks for a start and does not wait for it.
pub async fn start(name: &str) -> Result<()> {
    ask(name, "start", &["start", "--no-block"]).await
}

/// Asks for a restart and does not wait for it.
pub async fn restart(name: &str) -> Result<()> {
    ask(name, "restart", &["restart", "--no-block"]).await
}

/// Stops a unit and waits until it is stopped.
pub async fn stop(name: &str) -> Result<()> {
    ask(name, "stop", &["stop"]).await
}

/// Lets a unit start at boot.
pub async fn enable(name: &str) -> Result<()> {
    ask(name, "enable", &["enable"]).await
}

/// Keeps a unit from starting at boot.
pub async fn disable(name: &str) -> Result<()> {
    ask(name, "disable", &["disable"]).await
}

/// Long work as a unit that outlives us and is found again by its name, whatever becomes of this process.
///
/// Ended well it stays as `active (exited)`, ended badly as `failed`, until [`forget`] or the next boot.
/// Arguments and properties are readable by everyone on the host: no secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transient {
    /// The name of the unit, with the suffix `.service`.
    pub unit: String,
    /// What `systemctl status` shows.
    pub description: String,
    /// The program, by its absolute path or found on systemd's search path, and its arguments.
    pub argv: Vec<String>,
    /// Further properties, as `("RuntimeMaxSec", "600")`.
    pub properties: Vec<(String, String)>,
}

impl Transient {
    /// Starts the work and returns as soon as systemd has taken it. What an earlier run of the same name left is forgotten first.
    ///
    /// # Errors
    /// A unit of this name is still running, or systemd refuses.
    pub async fn start(&self) -> Result<()> {
        if let Some(old) = unit(&self.unit).await? {
            anyhow::ensure!(
                !old.is_running(),
                "start {}: it is already running as process {}",
                self.unit,
                old.main_pid.unwrap_or(0)
            );
            forget(&self.unit).await?;
        }
        let mut run = Command::new("systemd-run").args([
            "--quiet",
            "--no-block",
            "--no-ask-password",
            "--remain-after-exit",
        ]);
        run = run
            .arg(format!("--unit={}", self.unit))
            .arg(format!("--description={}", self.description));
        for (name, value) in &self.properties {
            run = run.arg(format!("--property={name}={value}"));
        }
        run.arg("--")
            .args(self.argv.clone())
            .run()
            .await
            .with_context(|| format!("start {}", self.unit))?;
        Ok(())
    }
}

/// Stops a transient unit and drops what systemd remembers of it, so that its name is free. Nothing of that name is no error.
pub async fn forget(name: &str) -> Result<()> {
    if unit(name).await?.is_none() {
        return Ok(());
    }
    stop(name).await?;
    // A failed unit stays loaded after a stop; one that ended well is gone with it, and then there is nothing to reset.
    let _ = systemctl(["reset-failed", "--", name]).output().await;
    Ok(())
}

/// The last lines a unit wrote to the journal, oldest first; `invocation` limits them to one run of it.
pub async fn journal_tail(
    name: &str,
    invocation: Option<&str>,
    lines: usize,
) -> Result<Vec<String>> {
    let mut read = Command::new("journalctl").args(["--quiet", "--no-pager", "--output=cat"]);
    read = read.arg(format!("--lines={lines}"));
    read = match invocation.filter(|id| !id.is_empty()) {
        Some(id) => read.arg(format!("_SYSTEMD_INVOCATION_ID={id}")),
        None => read.arg(format!("--unit={name}")),
    };
    let text = read.run().await.with_context(|| format!("read the journal of {name}"))?.text();
    Ok(text.lines().map(str::to_owned).collect())
}

async fn ask(name: &str, verb: &str, args: &[&str]) -> Result<()> {
    systemctl(args.iter().copied().chain(["--", name]))
        .deadline(STOP)
        .run()
        .await
        .with_context(|| format!("{verb} {name}"))?;
    Ok(())
}

fn systemctl<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new("systemctl").args(["--no-pager", "--no-ask-password"]).args(args)
}

fn parse(name: &str, text: &str) -> Option<Unit> {
    let find = |key: &str| {
        let mut values =
            text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
        values.next().map(|(_, value)| value.trim()).unwrap_or_default()
    };
    // A unit that was never written reads as `not-found`; a masked one is there and does not start.
    if find("LoadState") == "not-found" && find("ActiveState") == "inactive" {
        return None;
    }
    let active = match find("ActiveState") {
        "active" => Active::Active,
        "reloading" | "refreshing" => Active::Reloading,
        "activating" => Active::Activating,
        "deactivating" => Active::Deactivating,
        "failed" => Active::Failed,
        _ => Active::Inactive,
    };
    Some(Unit {
        name: name.to_owned(),
        active,
        sub: find("SubState").to_owned(),
        result: find("Result").to_owned(),
        main_pid: find("MainPID").parse().ok().filter(|pid| *pid != 0),
        status: find("ExecMainStatus").parse().unwrap_or(0),
        restarts: find("NRestarts").parse().unwrap_or(0),
        file_state: find("UnitFileState").to_owned(),
        invocation: find("InvocationID").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nMainPID=0\nExecMainStatus=1\nNRestarts=0\nUnitFileState=transient\nInvocationID=ab12\n";

    #[test]
    fn a_failed_unit_keeps_its_status() {
        let unit = parse("a.service", FAILED).unwrap();
        assert!(unit.is_failed() && !unit.is_running() && !unit.is_done());
        assert_eq!(
            (unit.status, unit.main_pid, unit.result.as_str(), unit.invocation.as_str()),
            (1, None, "exit-code", "ab12")
        );
    }

    #[test]
    fn over_and_kept_is_done_and_not_running() {
        let text = "LoadState=loaded\nActiveState=active\nSubState=exited\nResult=success\nMainPID=0\nExecMainStatus=0\n";
        let unit = parse("a.service", text).unwrap();
        assert!(unit.is_done() && !unit.is_running());
        let text = "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nMainPID=7\nExecMainStatus=0\n";
        let unit = parse("a.service", text).unwrap();
        assert!(!unit.is_done() && unit.is_running() && unit.main_pid == Some(7));
    }

    #[test]
    fn the_pause_between_two_restarts_is_running() {
        let text = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nMainPID=0\nExecMainStatus=1\nNRestarts=12\n";
        let unit = parse("kubelet.service", text).unwrap();
        assert!(unit.is_running() && unit.restarts == 12);
    }

    #[test]
    fn an_unknown_unit_is_none_and_a_failed_one_without_a_file_is_not() {
        assert_eq!(
            parse("a.service", "LoadState=not-found\nActiveState=inactive\nSubState=dead\n"),
            None
        );
        assert!(
            parse("a.service", "LoadState=not-found\nActiveState=failed\nSubState=failed\n")
                .is_some()
        );
    }
}

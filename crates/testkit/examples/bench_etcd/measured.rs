//! A process from its start to its end, and the most memory it ever had.

use anyhow::{Context, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use std::{ffi::OsString, path::Path, process::Stdio, time::Instant};
use tokio::io::AsyncWriteExt;

/// Makes this program measure another one.
pub const FLAG: &str = "--measure";

/// What a process cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// From its start to its end.
    pub seconds: f64,
    /// The peak of its resident memory.
    pub megabytes: f64,
}

impl Cost {
    /// One process after the other.
    pub fn then(self, next: Self) -> Self {
        Self { seconds: self.seconds + next.seconds, megabytes: self.megabytes.max(next.megabytes) }
    }
}

/// Runs a program with this on its standard input, and returns what it cost and its standard output. It must succeed.
pub async fn run(
    program: &Path,
    args: &[String],
    input: Option<&Value>,
) -> anyhow::Result<(Cost, String)> {
    let name = program.display();
    let report = tempfile::NamedTempFile::new()?;
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.arg(FLAG).arg(report.path()).arg(program).args(args).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.to_string().as_bytes()).await.context("write the request")?;
    }
    let output = child.wait_with_output().await.with_context(|| format!("wait for {name}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{name} {} ended with {}: {said}{error}", args.join(" "), output.status);
    }
    let report: Value = serde_json::from_slice(&std::fs::read(report.path())?)
        .with_context(|| format!("read what {name} cost"))?;
    let number = |key| report.get(key).and_then(Value::as_f64).with_context(|| format!("no {key}"));
    Ok((Cost { seconds: number("seconds")?, megabytes: number("megabytes")? }, said))
}

/// Runs a program on our own standard streams and writes down what it cost.
///
/// In a process of its own: the kernel tells the peak of all children together, and counts in what the parent had when it started them.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn measure(report: &Path, program: &OsString, args: &[OsString]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let status = std::process::Command::new(program).args(args).status();
    let seconds = begun.elapsed().as_secs_f64();
    let status = status.with_context(|| format!("start {}", program.display()))?;
    let kib = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    let said = json!({"seconds": seconds, "megabytes": kib as f64 * 1024.0 / 1e6});
    std::fs::write(report, said.to_string())?;
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    Ok(())
}

//! One member: a host, a program, and the process while it runs.

use crate::{lane::Host, pki::Pki};
use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A member of a cluster.
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub host: Host,
    program: PathBuf,
    /// How far its clock is off, in seconds.
    ahead: i64,
    running: Option<Child>,
    /// Makes its syncs slow.
    tracer: Option<Child>,
}

impl Member {
    /// One that does not run yet, with a certificate of its own.
    pub fn new(name: &str, host: Host, program: PathBuf, pki: &Pki) -> anyhow::Result<Self> {
        pki.issue(name, &[host.address(), "localhost".to_owned()])?;
        Ok(Self { name: name.to_owned(), host, program, ahead: 0, running: None, tracer: None })
    }

    /// Gives it a clock that is off, from its next start on.
    pub fn misset(&mut self, seconds: i64, program: PathBuf) {
        (self.ahead, self.program) = (seconds, program);
    }

    /// Its client URL.
    pub fn url(&self) -> String {
        format!("https://{}:2379", self.host.address())
    }

    /// Its peer URL.
    pub fn peer_url(&self) -> String {
        format!("https://{}:2380", self.host.address())
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.host.disk().join("etcd")
    }

    /// What it said.
    pub fn log(&self) -> PathBuf {
        // not on its disk, which may be full
        self.host.disk().with_extension("log")
    }

    /// Starts it.
    pub fn start(&mut self, pki: &Pki, initial: &str, state: &str) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = self.host.command(&self.program);
        self.arguments(&mut command, pki, initial, state);
        command.env("QUORATE_CLOCK_AHEAD", self.ahead.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let started =
            command.spawn().context("failed to start etcd by \"nsenter\" (util-linux)")?;
        self.running = Some(started);
        Ok(())
    }

    fn arguments(&self, command: &mut Command, pki: &Pki, initial: &str, state: &str) {
        let (url, peer) = (self.url(), self.peer_url());
        command.args(["--name", &self.name, "--initial-cluster", initial]);
        command.args(["--initial-cluster-state", state, "--initial-cluster-token", "campaign"]);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        // few enough that a member that was away is sent a snapshot instead of the log
        command.args(["--log-level", "warn", "--snapshot-count", "1000"]);
        command.arg("--data-dir").arg(self.data_dir());
        for prefix in ["", "peer-"] {
            command.arg(format!("--{prefix}client-cert-auth"));
            command.arg(format!("--{prefix}cert-file")).arg(pki.cert(&self.name));
            command.arg(format!("--{prefix}key-file")).arg(pki.key(&self.name));
            command.arg(format!("--{prefix}trusted-ca-file")).arg(pki.ca());
        }
    }

    /// Whether its process is there.
    pub fn runs(&mut self) -> bool {
        self.running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills it, as a power failure does. Its disk stays.
    pub fn kill(&mut self) {
        self.untrace();
        if let Some(mut child) = self.running.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    /// Stops it in its tracks, or lets it go on.
    pub fn pause(&self, paused: bool) -> anyhow::Result<()> {
        match &self.running {
            Some(child) => signal(child, if paused { Signal::SIGSTOP } else { Signal::SIGCONT }),
            None => Ok(()),
        }
    }

    /// Lets every sync of it take longer.
    pub fn slow_down(&mut self, microseconds: u32) -> anyhow::Result<()> {
        let Some(child) = &self.running else { return Ok(()) };
        let mut tracer = Command::new("strace");
        tracer.args(["-qq", "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"]);
        tracer.arg(format!("inject=fsync,fdatasync:delay_exit={microseconds}"));
        tracer.args(["-p", &child.id().to_string()]);
        tracer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.tracer = Some(tracer.spawn().context("failed to start \"strace\"")?);
        Ok(())
    }

    /// Ends that.
    pub fn untrace(&mut self) {
        if let Some(mut tracer) = self.tracer.take() {
            // by this signal it lets go of what it traces
            _ = signal(&tracer, Signal::SIGTERM);
            _ = tracer.wait();
        }
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        tail(&self.log())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tail(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Sends a signal to a process of ours that has not been waited for.
fn signal(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, signal).with_context(|| format!("failed to send {signal} to process {pid}"))
}

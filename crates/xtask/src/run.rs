//! Commands, printed before they run, and the places they run in.

use anyhow::{Context, bail};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The target of tests and development builds: a debug build is the static program that the protocol tests run.
pub const MUSL: &str = "x86_64-unknown-linux-musl";
/// The other architecture.
pub const MUSL_ARM: &str = "aarch64-unknown-linux-musl";

/// Set once, before anything runs.
static WITHOUT_LAB: OnceLock<()> = OnceLock::new();

/// Makes every command from here on leave out what needs root or the lab.
pub fn without_lab() {
    let _ = WITHOUT_LAB.set(());
}

/// What was said last, for telling at the end what failed.
static SAID: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
/// As much as one playbook prints.
const REMEMBERED: usize = 2000;

/// Writes a line; a reader that has gone is no reason to stop.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.extend(text.lines().map(str::to_owned));
    let too_many = said.len().saturating_sub(REMEMBERED);
    said.drain(..too_many);
}

/// Takes what was said since it was taken last, as far as it is remembered.
pub fn said() -> Vec<String> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// The checkout.
pub fn root() -> PathBuf {
    // Set by `cargo run`; the compiled-in path serves whoever calls the program directly.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.ancestors().nth(2).map_or_else(|| own.clone(), Path::to_path_buf)
}

/// Where cargo puts what it builds, and the tasks what they make.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Whether we are root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A command in the checkout.
pub fn command<S: AsRef<std::ffi::OsStr>>(
    program: impl AsRef<std::ffi::OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    if WITHOUT_LAB.get().is_some() {
        command.env("QUORATE_NO_LAB", "1");
    }
    command
}

/// Cargo in the checkout, without what the outer `cargo run` set for itself: build scripts look at that, and would run again each time
/// somebody else calls cargo.
pub fn cargo<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args);
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];
        if name.to_str().is_some_and(|name| own.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// The environment with ansible-core, first on PATH, so that Ansible's programs find each other.
pub fn in_python_env(command: &mut Command) -> anyhow::Result<()> {
    first_on_path(command, python_env()?.join("bin"))
}

/// Has a command find programs in this directory before all others.
pub fn first_on_path(command: &mut Command, bin: PathBuf) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(all)?);
    Ok(())
}

/// The directory of the environment with ansible-core.
pub fn python_env() -> anyhow::Result<PathBuf> {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made.clone());
    }
    let made = artefacts::python_env("ansible", &root().join("crates/xtask/requirements.txt"))?;
    Ok(MADE.get_or_init(|| made).clone())
}

/// Prints and runs a command.
pub fn execute(command: &mut Command) -> anyhow::Result<()> {
    let text = show(command);
    let status = command.status().with_context(|| format!("failed to start {}", name(command)))?;
    if !status.success() {
        bail!("{text} ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns its standard output; not printed, for questions that change nothing.
pub fn ask(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("failed to start {}", name(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", line(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Prints and runs a command, passes its standard output on line by line, and returns whether it succeeded.
pub fn run_reading(command: &mut Command, mut read: impl FnMut(&str)) -> anyhow::Result<bool> {
    show(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {}", name(command)))?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            say(&line);
            read(&line);
        }
    }
    Ok(child.wait()?.success())
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let own = command.get_program();
    let own = Path::new(own).file_name().unwrap_or(own).to_string_lossy();
    command.get_args().fold(own.into_owned(), |line, arg| {
        let arg = arg.to_string_lossy();
        if arg.contains([' ', '"', '\'']) || arg.is_empty() {
            format!("{line} {arg:?}")
        } else {
            format!("{line} {arg}")
        }
    })
}

fn show(command: &Command) -> String {
    let text = line(command);
    say(&format!("+ {text}"));
    text
}

/// Asks until the answer is yes, for at most that long.
pub fn wait_until(
    what: &str,
    at_most: Duration,
    mut ask: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let until = Instant::now() + at_most;
    while !ask()? {
        if Instant::now() > until {
            bail!("{what}: not within {} s", at_most.as_secs());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

//! Running programs of this machine.

use crate::paths;
use crate::plan::NAMESPACE;
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What the lab calls, and the Debian package that brings it.
const TOOLS: [(&str, &str); 17] = [
    ("btrfs", "btrfs-progs"),
    ("cp", "coreutils"),
    ("curl", "curl"),
    ("debootstrap", "debootstrap"),
    ("e2fsck", "e2fsprogs"),
    ("filefrag", "e2fsprogs"),
    ("fsfreeze", "util-linux"),
    ("ip", "iproute2"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("resize2fs", "e2fsprogs"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
    ("tar", "tar"),
];

/// Checks that the lab can run here, and says in one sentence why not.
pub fn require_tools() -> anyhow::Result<()> {
    require_root()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |tool: &str| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    let missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| !there(tool)).collect();
    if let Some((tool, _)) = missing.first() {
        let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        bail!("the lab needs the program {tool:?}: apt-get install {}", packages.join(" "));
    }
    Ok(())
}

/// Checks for root, which everything that boots, mounts or enters a namespace needs.
pub fn require_root() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the lab boots hosts and mounts disks and therefore needs root; everything else runs without: cargo xtask test --no-lab"
        );
    }
    Ok(())
}

/// Starts a command line.
pub fn command<I: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end; a failure says what it wrote last.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

/// Runs a command to its end and returns its standard output without the white space around it.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = raw(command)?;
    if !done.status.success() {
        return Err(failure(command, &done));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Runs a command and returns whether it succeeded, for questions.
pub fn succeeds(command: &mut Command) -> bool {
    raw(command).is_ok_and(|done| done.status.success())
}

/// Runs a command with a text on its standard input.
pub fn feed(command: &mut Command, text: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(command, error))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that ends without reading says why on its standard error, which is the better message.
        let _ = pipe.write_all(text.as_bytes());
    }
    let done = child.wait_with_output().context("cannot wait for a program")?;
    if !done.status.success() {
        return Err(failure(command, &done));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

fn raw(command: &mut Command) -> anyhow::Result<Output> {
    command.output().map_err(|error| not_started(command, error))
}

fn not_started(command: &Command, error: std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    match error.kind() {
        ErrorKind::NotFound => {
            anyhow::anyhow!("the program {program:?} is needed and is not installed")
        }
        _ => anyhow::Error::from(error).context(format!("cannot start {program:?}")),
    }
}

fn failure(command: &Command, done: &Output) -> anyhow::Error {
    let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let said =
        [&done.stderr, &done.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let said = said.iter().find(|text| !text.is_empty()).map_or("", String::as_str);
    let program = command.get_program().to_string_lossy();
    anyhow::anyhow!(
        "{program} {} ended with {}: {}",
        words.join(" "),
        done.status,
        tail(said, 2000)
    )
}

/// Returns the last characters of a text.
pub fn tail(text: &str, length: usize) -> &str {
    let skip = text.char_indices().rev().nth(length).map_or(0, |(at, _)| at);
    text.get(skip..).unwrap_or_default()
}

/// Starts a command line inside the lab's network namespace, with this machine's files.
///
/// Not `ip netns exec`: that makes a mount namespace too, whose copy of the storage's mount outlives the unmount.
pub fn inside<I: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = in_namespace(NAMESPACE);
    command.arg(program).args(arguments);
    command
}

/// Starts the command line that enters one of the lab's network namespaces.
pub fn in_namespace(name: &str) -> Command {
    let mut enter = std::ffi::OsString::from("--net=");
    enter.push(paths::network_namespace(name));
    command("nsenter", [enter])
}

/// Starts an ssh command line to a host of the lab.
pub fn ssh(host: &str) -> Command {
    let config = paths::run("ssh_config");
    inside("ssh", [OsStr::new("-F"), config.as_os_str(), OsStr::new(host)])
}

/// Writes a file whole: to a neighbour, then renamed over it.
pub fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&part)
        .and_then(|mut file| file.write_all(text.as_ref()))
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory and those above it.
pub fn make_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// Removes a directory tree that may not be there.
pub fn remove_tree(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Quotes one word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_remote_shell_unchanged() {
        assert_eq!(quote("systemctl"), "systemctl");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = run(&mut command("sh", ["-c", "echo no >&2; exit 3"])).unwrap_err().to_string();
        assert!(
            error.starts_with("sh -c echo no >&2; exit 3 ended with exit status: 3: no"),
            "{error}"
        );
    }

    #[test]
    fn a_tail_is_cut_between_characters() {
        assert_eq!(tail("aäb", 1), "äb");
        assert_eq!(tail("ab", 9), "ab");
    }
}

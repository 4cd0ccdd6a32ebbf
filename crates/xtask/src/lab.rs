//! `cargo xtask lab ..`: passes on to the lab's own program.

use crate::run::{MUSL, cargo, execute};

pub fn run(args: &[String]) -> anyhow::Result<()> {
    execute(&mut lab(args))
}

/// The lab's program with these arguments.
pub fn lab<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> std::process::Command {
    let mut command = cargo(["run", "--quiet", "--package", "lab", "--target", MUSL, "--"]);
    command.args(args);
    command
}

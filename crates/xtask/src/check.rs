//! `cargo xtask check`: what can be said without running anything.

use crate::{
    deps, docs,
    run::{MUSL, cargo, command, execute},
    steps::{Steps, Tally},
    tidy,
};
use anyhow::ensure;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    ensure!(args.is_empty(), "check takes no arguments, got {args:?}");
    let mut steps = Steps::default();
    all(&mut steps);
    steps.finish();
    Ok(())
}

/// Every check. Another one is another line here.
pub fn all(steps: &mut Steps) {
    steps.step("check: format", || one(&mut cargo(["fmt", "--all", "--check"])));
    steps.step("check: lints", || {
        one(&mut cargo([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--target",
            MUSL,
            "--",
            "-D",
            "warnings",
        ]))
    });
    // Without advisories: their database comes from a git host, which a build machine may not reach.
    steps.step("check: licences, duplicates, one TLS stack", || {
        one(&mut command(
            deps::cargo_deny()?,
            [
                "--offline",
                "--workspace",
                "check",
                "--hide-inclusion-graph",
                "licenses",
                "bans",
                "sources",
            ],
        ))
    });
    steps.step("check: the workspace's own rules", tidy::tally);
    steps.step("check: documentation in step", || docs::check_built().map(|()| Tally::ONE));
}

fn one(command: &mut std::process::Command) -> anyhow::Result<Tally> {
    execute(command).map(|()| Tally::ONE)
}

//! `cargo xtask check`: what can be said without running anything.

use crate::{
    deps, docs,
    run::{MUSL, cargo, command, execute},
    steps::{Steps, Tally},
    tidy,
};

pub fn run(_args: &[String]) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    all(&mut steps);
    steps.finish()
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

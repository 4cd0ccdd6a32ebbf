//! `cargo xtask campaign etcd`: faults around every operation on etcd, by a program of its own.

use crate::{
    deps,
    run::{MUSL, cargo, execute, run_reading, target_dir},
    steps::{Tally, counted},
};
use anyhow::bail;
use std::process::Command;

/// Rounds until the time is over.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    deps::all(false)?;
    if !run_reading(program()?.args(args), |_| ())? {
        bail!("the campaign found a round that did not end as it should");
    }
    Ok(())
}

/// The few rounds that every commit tries: a step of `cargo xtask test`.
pub fn short() -> anyhow::Result<Tally> {
    counted(program()?.arg("--short"))
}

/// The campaign's program over the collection's own one.
fn program() -> anyhow::Result<Command> {
    let what = ["--workspace", "--bin", "campaign", "--bin", "quorate", "--target", MUSL];
    execute(cargo(["build", "--quiet"]).args(what))?;
    let built = target_dir().join(MUSL).join("debug");
    let mut program = crate::run::command(built.join("campaign"), ["--quorate"]);
    program.arg(built.join("quorate")).arg("--out").arg(target_dir().join("campaign"));
    Ok(program)
}

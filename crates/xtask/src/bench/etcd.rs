//! The etcd modules against etcdctl and etcdutl of the same etcd, by a program that starts the cluster and runs both sides in turns.

use crate::run::{MUSL, cargo, command, execute, target_dir};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{path::Path, process::Stdio};

/// In crates/testkit/examples. Not optimised: its own speed is in no figure.
const PROGRAM: &str = "bench_etcd";

pub fn rows(staged: &Path) -> anyhow::Result<Vec<Value>> {
    let target = ["--target", MUSL];
    execute(cargo(["build", "--workspace", "--example", PROGRAM]).args(target))?;
    let built = target_dir().join(MUSL).join("debug/examples").join(PROGRAM);
    let ours = staged.join("ansible_collections/quorate/controlplane/bin/x86_64/quorate");
    let mut bench = command(&built, [ours]);
    // it says on standard error how far it is: it takes minutes
    let output = bench
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start {}", built.display()))?;
    if !output.status.success() {
        bail!("the etcd bench ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("the etcd bench printed no JSON")
}

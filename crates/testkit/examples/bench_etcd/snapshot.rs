//! A snapshot of the whole database, and its verification, each as bytes per second of a whole process.

use crate::{Bench, Cost, median, most, row, say};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

const ROUNDS: usize = 5;
/// What a snapshot may take, whatever the size of the database.
const BUDGET: f64 = 20.0;

/// A process, and how many bytes it has worked through.
#[derive(Clone, Copy)]
struct Work(Cost, u64);

impl Work {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    fn megabytes_per_s(self) -> f64 {
        self.1 as f64 / 1e6 / self.0.seconds
    }
}

pub async fn rows(bench: &Bench) -> anyhow::Result<Vec<Value>> {
    let (mut theirs, mut ours, mut compared) = (vec![], vec![], vec![]);
    let (mut status, mut verified) = (vec![], vec![]);
    let follower = follower(bench).await?;
    for round in 1..=ROUNDS {
        say(&format!("save and verify snapshots, {round} of {ROUNDS}"));
        // in the file system of the data, as on a control-plane host
        let dir = tempfile::tempdir_in(bench.etcd.root())?;
        let mut saved = None;
        // who begins takes turns: the disk is still busy with what the one before has written
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => theirs.push(save_by_hand(bench, dir.path(), &follower).await?),
                1 => compared.push(save(bench, &dir.path().join("compared"), true).await?.0),
                _ => {
                    let (work, file) = save(bench, &dir.path().join("ours"), false).await?;
                    ours.push(work);
                    saved = Some(file);
                }
            }
        }
        let file = saved.context("verify a snapshot: none was saved")?;
        let bytes = size(&file)?;
        let words = ["snapshot", "status", &file.display().to_string()].map(str::to_owned);
        status.push(Work(crate::run(&bench.etcdutl, &words, None).await?.0, bytes));
        let args = json!({"state": "verified", "path": file});
        verified.push(Work(bench.module("etcd_snapshot", args).await?.0, bytes));
    }
    let speed = |all: &[Work]| median(all.iter().map(|work| work.megabytes_per_s()));
    let peak = |all: &[Work]| most(all.iter().map(|work| work.0.megabytes));
    let etcdctl = ("etcdctl", speed(&theirs));
    Ok(vec![
        row("snapshot saved", speed(&ours), "MB/s", etcdctl),
        row("the same, hashes compared", speed(&compared), "MB/s", etcdctl),
        row("snapshot, peak memory", peak(&ours), "MB", ("etcdctl", peak(&theirs))),
        row("snapshot, peak memory", peak(&ours), "MB", ("budget", BUDGET)),
        row("snapshot verified", speed(&verified), "MB/s", ("etcdutl", speed(&status))),
        row("verified, peak memory", peak(&verified), "MB", ("etcdutl", peak(&status))),
    ])
}

async fn save_by_hand(bench: &Bench, dir: &Path, endpoint: &str) -> anyhow::Result<Work> {
    let file = dir.join("theirs");
    let words = ["snapshot", "save", &file.display().to_string()];
    let cost = bench.etcdctl(&[endpoint.to_owned()], &words).await?;
    Ok(Work(cost, size(&file)?))
}

async fn save(bench: &Bench, dest: &Path, compare: bool) -> anyhow::Result<(Work, PathBuf)> {
    let args = bench.reach(&json!({"dest": dest, "compare_hashes": compare}));
    let (cost, reply) = bench.module("etcd_snapshot", args).await?;
    let path = reply.get("path").and_then(Value::as_str).context("the reply names no file")?;
    let file = PathBuf::from(path);
    Ok((Work(cost, size(&file)?), file))
}

fn size(file: &Path) -> anyhow::Result<u64> {
    let size = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len();
    if size < crate::filled::SIZE.unsigned_abs() {
        bail!("{} has {size} bytes: not the database that was to be saved", file.display());
    }
    Ok(size)
}

/// Where ours goes as well: the leader has enough to do.
async fn follower(bench: &Bench) -> anyhow::Result<String> {
    for index in 0..bench.etcd.endpoints().len() {
        let status = bench.etcd.client(index).await?.status().await?;
        let own = status.header().map(etcd_client::ResponseHeader::member_id);
        if own != Some(status.leader()) {
            return Ok(bench.etcd.url(index));
        }
    }
    bail!("find a follower: every member says it leads")
}

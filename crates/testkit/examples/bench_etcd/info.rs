//! One reading of the whole cluster against the three commands that an operator asks one after the other.

use crate::{Bench, Cost, median, most, row, say};
use serde_json::{Value, json};

const ROUNDS: usize = 15;

pub async fn rows(bench: &Bench) -> anyhow::Result<Vec<Value>> {
    say("read the cluster");
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        theirs.push(by_hand(bench).await?);
        ours.push(bench.module("etcd_info", bench.reach(&json!({}))).await?.0);
    }
    let millis = |all: &[Cost]| median(all.iter().map(|cost| cost.seconds * 1e3));
    let peak = |all: &[Cost]| most(all.iter().map(|cost| cost.megabytes));
    Ok(vec![
        row("etcd_info", millis(&ours), "ms", ("3 etcdctl", millis(&theirs))),
        row("etcd_info, peak memory", peak(&ours), "MB", ("etcdctl", peak(&theirs))),
    ])
}

async fn by_hand(bench: &Bench) -> anyhow::Result<Cost> {
    let mut all = Cost::default();
    for words in
        [["member", "list"].as_slice(), &["endpoint", "status", "--cluster"], &["alarm", "list"]]
    {
        all = all.then(bench.etcdctl(&bench.etcd.endpoints(), words).await?);
    }
    Ok(all)
}

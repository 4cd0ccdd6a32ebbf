//! A rolling defragmentation, as clients of the members that are not its turn see it, against `etcdctl defrag` of one member after the other.

use crate::{Bench, Cost, filled, most, row, say, watch::Watch};
use anyhow::bail;
use serde_json::{Value, json};

const ROUNDS: usize = 2;
/// A client of another member may wait for as many times the slowest single defragmentation.
const TIMES: f64 = 2.0;

/// One side in one round.
struct Turn {
    /// All of it.
    cost: Cost,
    /// The slowest single process.
    slowest: f64,
    /// The longest that a client of another member waited.
    stall: f64,
}

pub async fn rows(bench: &Bench, batches: usize) -> anyhow::Result<Vec<Value>> {
    let (mut ours, mut theirs) = (vec![], vec![]);
    for round in 0..ROUNDS {
        for side in 0..2 {
            say(&format!("defragment, {} of {}", round * 2 + side + 1, ROUNDS * 2));
            if round + side > 0 {
                filled::refill(&bench.etcd, batches).await?;
            }
            filled::free(&bench.etcd).await?;
            // who begins takes turns as well
            if (round + side) % 2 == 0 {
                theirs.push(by_hand(bench).await?);
            } else {
                ours.push(by_module(bench).await?);
            }
        }
    }
    let all = |turns: &[Turn], what: fn(&Turn) -> f64| most(turns.iter().map(what));
    let millis = |turns: &[Turn], what: fn(&Turn) -> f64| all(turns, what) * 1e3;
    let allowed = TIMES * millis(&theirs, |turn| turn.slowest);
    let stall = millis(&ours, |turn| turn.stall);
    let peak = |turns: &[Turn]| all(turns, |turn| turn.cost.megabytes);
    Ok(vec![
        row("defragment, longest stall", stall, "ms", ("2 defrag", allowed)),
        row("the same", stall, "ms", ("its own", millis(&theirs, |turn| turn.stall))),
        row("defragment, whole", whole(&ours), "s", ("etcdctl", whole(&theirs))),
        row("defragment, peak memory", peak(&ours), "MB", ("etcdctl", peak(&theirs))),
    ])
}

fn whole(turns: &[Turn]) -> f64 {
    turns.iter().map(|turn| turn.cost.seconds).fold(f64::INFINITY, f64::min)
}

async fn by_hand(bench: &Bench) -> anyhow::Result<Turn> {
    let before = filled::smallest(&bench.etcd).await?;
    let watch = Watch::begin(&bench.etcd).await?;
    let (mut cost, mut slowest) = (Cost::default(), 0.0_f64);
    for index in 0..bench.etcd.endpoints().len() {
        let one = bench.etcdctl(&[bench.etcd.url(index)], &["defrag"]).await?;
        cost = cost.then(one);
        slowest = slowest.max(one.seconds);
    }
    let stall = watch.end().await?.as_secs_f64();
    shrunk(bench, before).await?;
    Ok(Turn { cost, slowest, stall })
}

async fn by_module(bench: &Bench) -> anyhow::Result<Turn> {
    let before = filled::smallest(&bench.etcd).await?;
    let watch = Watch::begin(&bench.etcd).await?;
    let args = bench.reach(&json!({"allow_unknown_disk": true}));
    let (cost, _) = bench.module("etcd_maintenance", args).await?;
    let stall = watch.end().await?.as_secs_f64();
    shrunk(bench, before).await?;
    Ok(Turn { cost, slowest: cost.seconds, stall })
}

/// A side that did not do the work has no time.
async fn shrunk(bench: &Bench, before: i64) -> anyhow::Result<()> {
    for index in 0..bench.etcd.endpoints().len() {
        let size = bench.etcd.client(index).await?.status().await?.db_size();
        if size * 4 > before * 3 {
            bail!(
                "{} has {size} bytes, {before} before: it was not defragmented",
                bench.etcd.url(index)
            );
        }
    }
    Ok(())
}

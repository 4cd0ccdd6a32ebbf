//! A database of 500 MB, of which two fifths can be freed, again and again.

use anyhow::{Context, bail};
use etcd_client::{Client, CompactionOptions, DeleteOptions, Txn, TxnOp};
use std::time::{Duration, Instant};
use testkit::etcd::Etcd;
use tokio::task::JoinSet;

/// Of the file of each member.
pub const SIZE: i64 = 500_000_000;
/// As much as a Pod and its status.
const VALUE: usize = 8 << 10;
/// Of at most 128 operations and 1.5 MiB in one transaction.
const KEYS: usize = 120;
/// Transactions under way at a time.
const WAYS: usize = 4;
/// How long what was deleted may take to become free pages.
const PATIENCE: Duration = Duration::from_mins(2);

/// Writes until the database is that large. Returns the number of batches that were written.
pub async fn fill(etcd: &Etcd) -> anyhow::Result<usize> {
    let mut batches = 0;
    while smallest(etcd).await? < SIZE {
        write(etcd, batches..batches + 20, |_| true).await?;
        batches += 20;
    }
    Ok(batches)
}

/// Writes what was freed once more.
pub async fn refill(etcd: &Etcd, batches: usize) -> anyhow::Result<()> {
    write(etcd, 0..batches, is_to_go).await
}

/// Deletes two fifths and compacts, and waits until each member counts the pages as free.
pub async fn free(etcd: &Etcd) -> anyhow::Result<()> {
    let mut client = etcd.client(0).await?;
    let all = DeleteOptions::new().with_prefix();
    let deleted = client.delete("/registry/bench/go/", Some(all)).await?;
    let revision = deleted.header().context("the answer has no header")?.revision();
    client.compact(revision, Some(CompactionOptions::new().with_physical())).await?;
    let until = Instant::now() + PATIENCE;
    for index in 0..etcd.endpoints().len() {
        let mut client = etcd.client(index).await?;
        loop {
            let status = client.status().await?;
            let (size, in_use) = (status.db_size(), status.raft_used_db_size());
            if (size - in_use) * 3 >= size {
                break;
            }
            if Instant::now() >= until {
                bail!("member {index} uses {in_use} of {size} bytes still");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// In one batch after the other, so that the free pages lie all over the file.
fn is_to_go(batch: usize) -> bool {
    batch % 5 < 2
}

/// The size of the smallest file.
pub async fn smallest(etcd: &Etcd) -> anyhow::Result<i64> {
    let mut least = i64::MAX;
    for index in 0..etcd.endpoints().len() {
        least = least.min(etcd.client(index).await?.status().await?.db_size());
    }
    Ok(least)
}

async fn write(
    etcd: &Etcd,
    batches: std::ops::Range<usize>,
    wanted: impl Fn(usize) -> bool,
) -> anyhow::Result<()> {
    let client = etcd.client(0).await?;
    let mut under_way = JoinSet::new();
    for batch in batches.filter(|batch| wanted(*batch)) {
        if under_way.len() >= WAYS
            && let Some(done) = under_way.join_next().await
        {
            done??;
        }
        under_way.spawn(write_batch(client.clone(), batch));
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

async fn write_batch(mut client: Client, batch: usize) -> anyhow::Result<()> {
    let part = if is_to_go(batch) { "go" } else { "stay" };
    let put = |key: usize| {
        let name = format!("/registry/bench/{part}/{batch:05}/{key:03}");
        // no two keys have the same value
        let mut value = name.clone().into_bytes();
        value.resize(VALUE, b'.');
        TxnOp::put(name, value, None)
    };
    let all: Vec<TxnOp> = (0..KEYS).map(put).collect();
    client.txn(Txn::new().and_then(all)).await.context("write a batch")?;
    Ok(())
}

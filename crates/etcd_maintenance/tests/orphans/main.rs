//! The database that orphaned objects filled to 634 MB, of which 57 MB were still wanted (runbook D3): made small again under load.
//!
//! A program of its own, that `cargo xtask test` runs when no other does: it writes four gigabytes as fast as the disk takes them, and an election in a cluster beside it
//! would be its fault.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]
#![expect(clippy::print_stdout, reason = "the figures are the result")]

#[path = "../it/world.rs"]
#[expect(dead_code, reason = "shared with the other tests, which use more of it")]
mod world;

use crate::world::{Writer, call, file};
use etcd_client::{Client, CompactionOptions, DeleteOptions, GetOptions, Txn, TxnOp};
use serde_json::json;
use std::time::Duration;
use testkit::etcd::Etcd;

const FULL: i64 = 634_000_000;
const WANTED: i64 = 57_000_000;
/// Objects of Longhorn, one for each replica that was ever lost, as Kubernetes stores them.
const ORPHANS: &str = "/registry/longhorn.io/orphans/longhorn-system/orphan-";
const PODS: &str = "/registry/pods/default/web-";
/// What one object has, with its managed fields.
const OBJECT: usize = 4 << 10;
/// As many as etcd takes in one transaction.
const AT_ONCE: u64 = 128;

/// Puts objects until the member's file has that size. Returns how many.
async fn fill(etcd: &Etcd, prefix: &str, size: i64) -> u64 {
    let mut client = etcd.client(0).await.unwrap();
    let mut count = 0;
    while file(etcd, 0).await.0 < size {
        for _ in 0..16 {
            let puts = (count..count + AT_ONCE).map(|number| {
                // names spread as hashes do, so that ranges of them can be deleted
                let key = format!("{prefix}{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                TxnOp::put(key, vec![b'x'; OBJECT], None)
            });
            client.txn(Txn::new().and_then(puts.collect::<Vec<_>>())).await.unwrap();
            count += AT_ONCE;
        }
    }
    count
}

async fn count(client: &mut Client, prefix: &str) -> i64 {
    let options = GetOptions::new().with_prefix().with_count_only();
    client.get(prefix, Some(options)).await.unwrap().count()
}

/// Deletes the orphans a sixteenth at a time, so that nobody is kept waiting. Returns the last revision.
async fn delete_orphans(client: &mut Client) -> i64 {
    let mut revision = 0;
    for digit in 0..16 {
        let options = DeleteOptions::new().with_prefix();
        let deleted = client.delete(format!("{ORPHANS}{digit:x}"), Some(options)).await.unwrap();
        revision = deleted.header().unwrap().revision();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    revision
}

#[tokio::test]
async fn a_database_full_of_orphans_becomes_small_under_load() {
    let etcd = Etcd::start(3).await.unwrap();
    let pods = fill(&etcd, PODS, WANTED).await;
    let orphans = fill(&etcd, ORPHANS, FULL).await;
    let mut client = etcd.client(0).await.unwrap();
    assert_eq!(count(&mut client, ORPHANS).await, i64::try_from(orphans).unwrap());
    let revision = delete_orphans(&mut client).await;
    // What Kubernetes does every five minutes anyway.
    let physical = CompactionOptions::new().with_physical();
    client.compact(revision, Some(physical)).await.unwrap();

    let writer = Writer::start(&etcd).await;
    let run = call(&etcd, &json!({}));
    let reply = tokio::task::spawn_blocking(move || run.run()).await.unwrap();
    let (written, failed) = writer.end().await;
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    println!(
        "{orphans} orphans: {} MB won, longest stall {} ms, {written} writes meanwhile; {}",
        reply.json["bytes_won"].as_i64().unwrap() / 1_000_000,
        reply.json["longest_stall_ms"],
        reply.json["defragmented"],
    );
    assert!(failed.is_empty() && written > 100, "{written} writes, {failed:?}");
    for at in 0..3 {
        let (size, _) = file(&etcd, at).await;
        assert!(size < WANTED * 5 / 4, "member {at} has {size} bytes still");
    }
    assert_eq!(count(&mut client, PODS).await, i64::try_from(pods).unwrap());
    assert_eq!(count(&mut client, "written/").await, i64::try_from(written).unwrap());
    let again = call(&etcd, &json!({})).run();
    assert!(!again.changed() && !again.failed(), "{}", again.json);
}

//! Causes that are a matter of degree, each with the bound that makes it one.

use super::Found;
use crate::causes::Code;
use etcd_cluster::{Member, MemberId, Reading, reading::Status};
use std::collections::BTreeMap;

/// A leader's heartbeats are 100 ms apart: a log whose slowest syncs take longer holds them up. Bounds are those of metrics' buckets.
const FSYNC_MS: f64 = 128.0;
/// etcd calls 25 ms normal; ten times that holds up every write.
const COMMIT_MS: f64 = 256.0;
/// Fewer were made than tell anything: right after a start the first ones are slow.
const ENOUGH: u64 = 100;
/// A read takes two hops and no disk.
const READ_MS: u64 = 1000;
/// Log entries a second. A Kubernetes cluster of a thousand nodes writes some hundred.
pub const STORM_PER_S: u64 = 1000;
/// Two samples nearer to each other than this tell no rate.
pub const STORM_OVER_MS: u64 = 900;
/// Proposals that wait at one moment.
const PENDING: u64 = 100;
/// Dates of answers are whole seconds: two that differ by this many differ by more than one.
const CLOCK_S: i64 = 3;

pub(super) fn all(found: &mut Found) {
    slow_disk(found);
    write_storm(found);
    clock(found);
}

fn slow_disk(found: &mut Found) {
    let observed = found.0;
    for member in &observed.reading.members {
        let metrics = observed.beside.metrics.get(&member.id);
        let timings = [
            ("syncs of its log", metrics.and_then(|m| m.fsync), FSYNC_MS),
            ("commits of its database", metrics.and_then(|m| m.commit), COMMIT_MS),
        ];
        for (what, timing, bound) in timings {
            let Some(timing) = timing.filter(|timing| timing.count >= ENOUGH) else { continue };
            let p99 = timing.p99_ms;
            if p99.is_none_or(|p99| p99 >= bound) {
                let most = p99.map_or("more than 8 s".to_owned(), |p99| format!("up to {p99} ms"));
                let mean = timing.mean_ms;
                let text = format!("{what} take {most} (99 of 100), {mean:.1} ms on average");
                found.member(Code::SlowDisk, member, text);
            }
        }
        let latency = observed.reading.answers.get(&member.id).and_then(|a| a.latency_ms);
        if let Some(ms) = latency.filter(|ms| *ms >= READ_MS) {
            let text = format!("a linearizable read through it took {ms} ms");
            found.member(Code::SlowDisk, member, text);
        }
    }
}

fn write_storm(found: &mut Found) {
    let observed = found.0;
    let ms = observed.beside.between_ms;
    let rate = rate(&observed.reading, &observed.beside.second, ms);
    if let Some(rate) = rate.filter(|rate| *rate >= STORM_PER_S && ms >= STORM_OVER_MS) {
        let text = format!("{rate} log entries a second, over {ms} ms");
        found.about(Code::WriteStorm, None, text);
    }
    for (id, metrics) in &observed.beside.metrics {
        if let Some(pending) = metrics.pending.filter(|pending| *pending >= PENDING) {
            let name = observed.reading.member(*id).map_or_else(|| id.to_string(), Member::label);
            let text = format!("{pending} proposals wait at {name}");
            found.about(Code::WriteStorm, None, text);
        }
    }
}

/// How fast the leader's log grew between two samples, in entries a second.
pub(super) fn rate(
    reading: &Reading,
    second: &BTreeMap<MemberId, Status>,
    between_ms: u64,
) -> Option<u64> {
    let (leader, _) = reading.leader()?;
    let (first, second) = (reading.status(leader)?.raft_index, second.get(&leader)?.raft_index);
    second.saturating_sub(first).saturating_mul(1000).checked_div(between_ms)
}

/// Against the middle of all clocks, this host's among them: one that is off does not make the others wrong.
fn clock(found: &mut Found) {
    let observed = found.0;
    let ahead = |id| observed.beside.metrics.get(&id).and_then(|metrics| metrics.ahead_s);
    let mut all: Vec<i64> =
        observed.reading.members.iter().filter_map(|member| ahead(member.id)).collect();
    all.push(0);
    all.sort_unstable();
    let Some(middle) = all.get(all.len() / 2).copied() else { return };
    for member in &observed.reading.members {
        let Some(off) = ahead(member.id).map(|ahead| ahead - middle) else { continue };
        if off.abs() >= CLOCK_S {
            let way = if off > 0 { "ahead of" } else { "behind" };
            let text = format!("its clock is {} s {way} the others'", off.abs());
            found.member(Code::Clock, member, text);
        }
    }
}

//! The verdict: what had to hold, what was found.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::table::count;
use super::tally::{self, Window, rounded};
use super::value::{Api, Check, Report, Verdict, Watch, Watched, Writes};
use crate::event::{Event, Member};

/// A longer time without a request of some client was not watched.
const GAP_MS: f64 = 5000.0;
/// The voters that must be there at the end.
const VOTERS: usize = 3;

/// Judges an operation by what the clients wrote down and what is known about it.
pub fn judge(events: &[Event], facts: &Facts) -> Report {
    let window = fault_window(events, facts);
    let requests = tally::requests(events);
    let api = tally::api(events, &requests, window);
    let writes = tally::writes(events);
    let watch = tally::watch(events);
    let watched = tally::watched(events, &requests);
    let checks = checks(events, facts, &api, &writes, &watch, &watched);
    Report {
        verdict: Verdict { ok: checks.iter().all(|check| check.ok), checks },
        distribution: facts.distribution.clone(),
        versions: facts.versions.clone(),
        target: facts.target.clone(),
        replace_seconds: rounded(facts.replace_ended - facts.replace_started),
        quiet_seconds: rounded(facts.quiet_seconds),
        fault_window: tally::fault_window(&requests, window),
        failures: tally::failures(&requests, window),
        api,
        writes,
        watch,
        watched,
        members_after: facts.members_after.clone(),
        refusals: facts.refusals.clone(),
        second_run_changed: facts.second_run.as_ref().map(|run| run.changed),
        evidence: facts.evidence.clone(),
    }
}

/// Gives the time in which requests to the target fail whatever the operation does.
///
/// It ends when `HAProxy` stopped sending requests there. Without that moment it has no length, so that a missing
/// reading hides no failure.
pub fn fault_window(events: &[Event], facts: &Facts) -> Option<Window> {
    let from = facts.fault_at?;
    Some(Window { from, to: down_at(events, facts).unwrap_or(from).max(from) })
}

/// Tells when `HAProxy` took the target out after the fault: by the facts, else by its own words.
fn down_at(events: &[Event], facts: &Facts) -> Option<f64> {
    let fault_at = facts.fault_at?;
    facts.haproxy_down_at.or_else(|| {
        events.iter().find_map(|event| match event {
            Event::Server { at, server, state }
                if *server == facts.target && state != "UP" && *at >= fault_at =>
            {
                Some(*at)
            }
            _ => None,
        })
    })
}

fn check(ok: bool, needed: &str, found: String) -> Check {
    Check { needed: needed.into(), found, ok }
}

fn checks(
    events: &[Event],
    facts: &Facts,
    api: &Api,
    writes: &Writes,
    watch: &Watch,
    watched: &Watched,
) -> Vec<Check> {
    let mut checks = vec![
        check(
            api.all.failed == 0 && api.all.requests > 0,
            "no request failed outside the fault window",
            format!("{} of {} failed", count(api.all.failed), count(api.all.requests)),
        ),
        every_write_is_there(writes),
        check(
            watch.missed == 0 && watch.gone == 0 && watch.events > 0,
            "the watch missed no event",
            format!(
                "{} missed, {} delivered, place lost {} times",
                watch.missed, watch.events, watch.gone
            ),
        ),
        check(
            facts.second_run.as_ref().is_some_and(|run| run.changed == 0),
            "the second run changed nothing",
            facts
                .second_run
                .as_ref()
                .map_or("no second run".into(), |run| format!("{} tasks changed", run.changed)),
        ),
        three_voters(events, facts),
    ];
    if !facts.refusals.is_empty() {
        checks.push(every_mistake_is_refused(facts));
    }
    if facts.fault_at.is_some() {
        let down = down_at(events, facts);
        checks.push(check(
            down.is_some(),
            "HAProxy took the node out after the fault",
            match (down, facts.fault_at) {
                (Some(down), Some(fault)) => format!("after {:.1} s", down - fault),
                _ => "it never did".into(),
            },
        ));
    }
    checks.push(was_watched(events, facts, watched));
    checks
}

/// A write counts as kept only where it was looked for: on every member's apiserver.
fn every_write_is_there(writes: &Writes) -> Check {
    let Writes { acked, lost, apiservers_read, etcd_members_read, .. } = writes;
    let ok = *lost == 0 && *acked > 0 && *apiservers_read >= VOTERS;
    let found = format!(
        "{lost} of {acked} lost, looked for through {apiservers_read} apiservers and in the store of {etcd_members_read} etcd members"
    );
    check(ok, "every acknowledged write is on every member", found)
}

/// The members must be three voters by the facts, and every member's own list must say the same.
fn three_voters(events: &[Event], facts: &Facts) -> Check {
    let voters = facts.members_after.iter().filter(|member| member.role == "voter").count();
    let told: BTreeSet<&Member> = facts.members_after.iter().collect();
    let other = events.iter().find_map(|event| match event {
        Event::Members { from, members, .. } if members.iter().collect::<BTreeSet<_>>() != told => {
            Some(from)
        }
        _ => None,
    });
    let found = match other {
        Some(from) => format!(
            "{voters} voters of {} members, but {from} shows another list",
            facts.members_after.len()
        ),
        None => format!("{voters} voters of {} members", facts.members_after.len()),
    };
    let ok = voters == VOTERS && facts.members_after.len() == VOTERS && other.is_none();
    check(ok, "the members are three voters", found)
}

fn every_mistake_is_refused(facts: &Facts) -> Check {
    let found = match facts.refusals.iter().find(|refusal| !refusal.holds()) {
        Some(refusal) if refusal.refused => {
            format!("{}: refused, but with code {:?}", refusal.what, refusal.code)
        }
        Some(refusal) => format!("{}: not refused", refusal.what),
        None => format!("{} of {} refused", facts.refusals.len(), facts.refusals.len()),
    };
    check(
        facts.refusals.iter().all(super::facts::Refusal::holds),
        "every mistake that was tried was refused",
        found,
    )
}

/// No failure among requests that were not made proves nothing.
fn was_watched(events: &[Event], facts: &Facts, watched: &Watched) -> Check {
    let needed = "the clients were at work all the time";
    let Some(span) = tally::span(events) else {
        return check(
            false,
            needed,
            "the events have no start or no end: they were ended from outside".into(),
        );
    };
    let begun = facts.fault_at.unwrap_or(facts.replace_started).min(facts.replace_started);
    let found = if span.from > begun {
        format!("they began {:.1} s late", span.from - begun)
    } else if span.to < facts.replace_ended {
        format!("they ended {:.1} s before the operation", facts.replace_ended - span.to)
    } else {
        format!(
            "{:.0} s, longest pause of a client {:.0} ms, {} requests left out",
            watched.seconds, watched.longest_gap_ms, watched.skipped
        )
    };
    let ok = span.from <= begun
        && span.to >= facts.replace_ended
        && watched.longest_gap_ms <= GAP_MS
        && watched.skipped == 0;
    check(ok, needed, found)
}

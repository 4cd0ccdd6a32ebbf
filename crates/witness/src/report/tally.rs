//! Counting: from events to numbers, without an opinion.

use std::collections::{BTreeMap, BTreeSet};

use super::value::{Api, Failure, FaultWindow, Tally, Watch, Watched, Writes};
use crate::event::{Client, Event, Via, Written};
use crate::verify::acknowledged;

/// How many failures are listed one by one.
const LISTED: usize = 50;

/// A request of any client.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    /// When it began.
    pub at: f64,
    /// How long it took.
    pub ms: f64,
    /// Whose it is.
    pub client: Client,
    /// It had a good answer in the end.
    pub ok: bool,
    /// It was tried twice.
    pub retried: bool,
    /// What went wrong.
    pub error: &'a str,
}

impl Request<'_> {
    /// Gives when it ended.
    pub fn end(&self) -> f64 {
        self.at + self.ms / 1000.0
    }
}

/// A span of time in Unix seconds, ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its beginning.
    pub from: f64,
    /// Its end.
    pub to: f64,
}

impl Window {
    /// Tells whether a request was under way in it.
    pub fn touches(self, request: &Request) -> bool {
        request.at <= self.to && request.end() >= self.from
    }
}

/// Gives all requests in the order of their beginning.
///
/// A write without a verdict is no failure when it is found later: the writer learns what it has to know by reading.
pub fn requests(events: &[Event]) -> Vec<Request<'_>> {
    let there = acknowledged(events);
    let mut requests: Vec<Request> = events
        .iter()
        .filter_map(|event| match event {
            Event::Request { at, ms, client, ok, retried, error, .. } => Some(Request {
                at: *at,
                ms: *ms,
                client: *client,
                ok: *ok,
                retried: *retried,
                error: error.as_deref().unwrap_or_default(),
            }),
            Event::Write { at, ms, name, error, .. } => Some(Request {
                at: *at,
                ms: *ms,
                client: Client::Write,
                ok: there.contains_key(name),
                retried: false,
                error: error.as_deref().unwrap_or_default(),
            }),
            _ => None,
        })
        .collect();
    requests.sort_by(|one, other| one.at.total_cmp(&other.at));
    requests
}

/// Counts requests.
pub fn tally<'a>(requests: impl Iterator<Item = &'a Request<'a>>) -> Tally {
    let mut tally = Tally::default();
    let mut durations = Vec::new();
    for request in requests {
        tally.requests += 1;
        tally.failed += usize::from(!request.ok);
        tally.retried += usize::from(request.retried);
        durations.push(request.ms);
    }
    durations.sort_by(f64::total_cmp);
    let share = |hundredths: usize| {
        let rank = (durations.len() * hundredths).div_ceil(100).saturating_sub(1);
        durations.get(rank).copied().unwrap_or_default()
    };
    tally.median_ms = share(50);
    tally.p99_ms = share(99);
    tally.longest_ms = share(100);
    tally
}

/// Counts requests outside the window.
pub fn api(events: &[Event], requests: &[Request], window: Option<Window>) -> Api {
    let outside: Vec<&Request> = requests
        .iter()
        .filter(|request| window.is_none_or(|window| !window.touches(request)))
        .collect();
    let of = |client| tally(outside.iter().copied().filter(|request| request.client == client));
    Api {
        all: tally(outside.iter().copied()),
        by_client: [Client::Get, Client::Http2, Client::Write]
            .map(|client| (client, of(client)))
            .into(),
        http2_reconnects: reconnects(events, "http2"),
    }
}

/// Counts requests that were under way in the window.
pub fn fault_window(requests: &[Request], window: Option<Window>) -> FaultWindow {
    let Some(window) = window else { return FaultWindow::default() };
    let inside = requests.iter().filter(|request| window.touches(request));
    FaultWindow { seconds: rounded(window.to - window.from), all: tally(inside) }
}

/// Lists failed requests, those outside the window first.
pub fn failures(requests: &[Request], window: Option<Window>) -> Vec<Failure> {
    let mut failures: Vec<Failure> = requests
        .iter()
        .filter(|request| !request.ok)
        .map(|request| Failure {
            at: request.at,
            client: request.client,
            ms: request.ms,
            in_fault_window: window.is_some_and(|window| window.touches(request)),
            error: request.error.to_string(),
        })
        .collect();
    failures.sort_by_key(|failure| failure.in_fault_window);
    failures.truncate(LISTED);
    failures
}

/// Counts writes.
pub fn writes(events: &[Event]) -> Writes {
    let mut writes = Writes { acked: acknowledged(events).len(), ..Writes::default() };
    let mut lost = BTreeSet::new();
    let mut read: BTreeMap<(&str, Via), bool> = BTreeMap::new();
    for event in events {
        match event {
            Event::Write { written, .. } => {
                writes.tried += 1;
                writes.ambiguous += usize::from(*written == Written::Ambiguous);
            }
            Event::Resolved { uid: Some(_), .. } => writes.ambiguous_found += 1,
            Event::Verified { member, via, expected, missing, error, .. } => {
                lost.extend(missing);
                // A later reading of the same member replaces an earlier one, but never brings a lost write back.
                read.insert((member, *via), error.is_none() && *expected == writes.acked);
            }
            _ => {}
        }
    }
    writes.lost = lost.len();
    let complete = |wanted: Via| {
        read.iter().filter(|((_, via), complete)| *via == wanted && **complete).count()
    };
    writes.apiservers_read = complete(Via::Apiserver);
    writes.etcd_members_read = complete(Via::Etcd);
    writes
}

/// Counts what the watch saw, against what it had to see.
pub fn watch(events: &[Event]) -> Watch {
    let seen: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Seen { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let missed = acknowledged(events).keys().filter(|name| !seen.contains(name.as_str())).count();
    let gone = events.iter().filter(|event| matches!(event, Event::Gone { .. })).count();
    Watch { events: seen.len(), reconnects: reconnects(events, "watch"), missed, gone }
}

fn reconnects(events: &[Event], wanted: &str) -> usize {
    events
        .iter()
        .filter(|event| matches!(event, Event::Reconnect { client, .. } if client == wanted))
        .count()
}

/// Gives the time from the start line to the end line, if both are there.
pub fn span(events: &[Event]) -> Option<Window> {
    let from = events.iter().find(|event| matches!(event, Event::Start { .. }))?.at();
    let to = events.iter().find(|event| matches!(event, Event::End { .. }))?.at();
    Some(Window { from, to })
}

/// Measures how closely was watched. A watch that did not end has no length.
pub fn watched(events: &[Event], requests: &[Request]) -> Watched {
    let skipped = events.iter().filter(|event| matches!(event, Event::Skipped { .. })).count();
    let Some(span) = span(events) else { return Watched { skipped, ..Watched::default() } };
    let gap = |client| {
        let starts =
            requests.iter().filter(|request| request.client == client).map(|request| request.at);
        let mut last = span.from;
        let mut longest = 0.0_f64;
        for at in starts.chain([span.to]) {
            longest = longest.max(at - last);
            last = at;
        }
        longest
    };
    let longest =
        [Client::Get, Client::Http2, Client::Write].map(gap).into_iter().fold(0.0, f64::max);
    Watched {
        seconds: rounded(span.to - span.from),
        longest_gap_ms: rounded(longest * 1000.0),
        skipped,
    }
}

/// Rounds to a tenth.
pub fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

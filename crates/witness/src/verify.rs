//! `witness verify`: looks for every acknowledged write on every member.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;

use crate::clients::etcd::{Endpoint, members, read_all};
use crate::clients::http2::Persistent;
use crate::clients::writer::uid;
use crate::event::{Event, Via, Written, read_lines};
use crate::http::Server;
use crate::journal::Journal;
use crate::options::Verify;

/// Reads under way at one member.
const AT_ONCE: usize = 16;
/// How long one read may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a member may need to answer every read, and an etcd member to have applied every write.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one member showed.
#[derive(Debug)]
struct Found {
    member: String,
    via: Via,
    missing: Vec<String>,
    error: Option<String>,
}

/// Reads the acknowledged writes everywhere, appends the result to the events file and gives a text and a verdict.
pub async fn run(options: &Verify) -> anyhow::Result<(String, bool)> {
    let events: Vec<Event> = read_lines(&options.events)?;
    let Some(namespace) = events.iter().find_map(|event| match event {
        Event::Start { namespace, .. } => Some(namespace.clone()),
        _ => None,
    }) else {
        bail!("{} has no start line: nothing was watched", options.events.display());
    };
    let acked = acknowledged(&events);
    let server = Server::from_kubeconfig(&options.kubeconfig, None).await?;
    let endpoints = options.etcd.open().await?;
    let (journal, written) = Journal::open(&options.events, true)?;

    let mut reading = JoinSet::new();
    for url in &options.members {
        let persistent = Arc::new(Persistent::new(server.at(url)?, journal.clone()));
        reading.spawn(through_apiserver(persistent, url.clone(), namespace.clone(), acked.clone()));
    }
    for endpoint in endpoints.clone() {
        reading.spawn(in_own_store(endpoint, namespace.clone(), acked.clone()));
    }
    let mut found = reading.join_all().await;
    found.sort_by(|one, other| one.member.cmp(&other.member));
    for reading in read_all(&endpoints).await {
        let at = journal.now();
        journal.put(Event::Members { at, from: reading.host, members: members(&reading.list) });
    }
    let text = tell(&found, acked.len());
    let held = found.iter().all(|found| found.missing.is_empty() && found.error.is_none());
    for Found { member, via, missing, error } in found {
        let at = journal.now();
        journal.put(Event::Verified { at, member, via, expected: acked.len(), missing, error });
    }
    drop(journal);
    written.await.context("wait for the events file")??;
    Ok((text, held))
}

/// Gives the names that must exist, with the uid that was acknowledged.
pub fn acknowledged(events: &[Event]) -> BTreeMap<String, Option<String>> {
    let mut acked = BTreeMap::new();
    for event in events {
        match event {
            Event::Write { name, written: Written::Acked, uid, .. } => {
                acked.insert(name.clone(), uid.clone())
            }
            Event::Resolved { name, uid: Some(uid), .. } => {
                acked.insert(name.clone(), Some(uid.clone()))
            }
            _ => None,
        };
    }
    acked
}

/// Reads each object by itself: without a resourceVersion that is a quorum read, never the watch cache.
async fn through_apiserver(
    server: Arc<Persistent>,
    member: String,
    namespace: String,
    acked: BTreeMap<String, Option<String>>,
) -> Found {
    let deadline = Instant::now() + PATIENCE;
    let mut under_way = JoinSet::new();
    let mut missing = Vec::new();
    let mut error = None;
    let mut results = Vec::new();
    for (name, expected) in acked {
        if under_way.len() >= AT_ONCE {
            results.extend(under_way.join_next().await.and_then(Result::ok));
        }
        let (server, namespace) = (server.clone(), namespace.clone());
        under_way.spawn(async move {
            let is_there =
                is_there(&server, &namespace, &name, expected.as_deref(), deadline).await;
            (name, is_there)
        });
    }
    results.extend(under_way.join_all().await);
    for (name, is_there) in results {
        match is_there {
            Ok(true) => {}
            Ok(false) => missing.push(name),
            Err(reason) => error = Some(format!("{name}: {reason}")),
        }
    }
    Found { member, via: Via::Apiserver, missing, error }
}

async fn is_there(
    server: &Persistent,
    namespace: &str,
    name: &str,
    expected: Option<&str>,
    deadline: Instant,
) -> Result<bool, String> {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    loop {
        let reason = match server.get(&path, LIMIT).await {
            // The same name with another uid is another object: the acknowledged one is gone.
            Ok(answer) if answer.is_ok() => {
                return Ok(expected.is_none() || uid(&answer).as_deref() == expected);
            }
            Ok(answer) if answer.status == 404 => return Ok(false),
            Ok(answer) => answer.excerpt(),
            Err(fault) => fault.to_string(),
        };
        if Instant::now() > deadline {
            return Err(reason);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Reads the member's own store; a member may apply the last writes a moment later than the others.
async fn in_own_store(
    mut endpoint: Endpoint,
    namespace: String,
    acked: BTreeMap<String, Option<String>>,
) -> Found {
    let member = endpoint.url.clone();
    let prefix = format!("/registry/configmaps/{namespace}/");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (missing, error) = match endpoint.own_keys(&prefix).await {
            Ok(keys) => {
                let there: BTreeSet<&str> =
                    keys.iter().filter_map(|key| key.strip_prefix(&prefix)).collect();
                (
                    acked.keys().filter(|name| !there.contains(name.as_str())).cloned().collect(),
                    None,
                )
            }
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        if (missing.is_empty() && error.is_none()) || Instant::now() > deadline {
            return Found { member, via: Via::Etcd, missing, error };
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn tell(found: &[Found], acked: usize) -> String {
    let mut text = String::new();
    for Found { member, via, missing, error } in found {
        let how = match via {
            Via::Apiserver => "quorum reads through its apiserver",
            Via::Etcd => "its own store",
        };
        let there = acked - missing.len().min(acked);
        let _ = match error {
            Some(error) => writeln!(text, "{member}  {how}: not read to the end: {error}"),
            None => writeln!(text, "{member}  {how}: {there} of {acked} acknowledged writes"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_exist_is_what_was_acknowledged_or_found_later() {
        let write = |name: &str, written| {
            let (name, uid) =
                (name.to_string(), (written == Written::Acked).then(|| "u".to_string()));
            Event::Write { at: 0.0, ms: 1.0, name, written, uid, error: None }
        };
        let resolved = |name: &str, uid: Option<&str>| Event::Resolved {
            at: 0.0,
            name: name.into(),
            uid: uid.map(str::to_string),
        };
        let events = [
            write("acked", Written::Acked),
            write("refused", Written::Refused),
            write("there", Written::Ambiguous),
            write("not-there", Written::Ambiguous),
            write("unresolved", Written::Ambiguous),
            resolved("there", Some("v")),
            resolved("not-there", None),
        ];
        let names: Vec<String> = acknowledged(&events).into_keys().collect();
        assert_eq!(names, ["acked", "there"]);
    }
}

//! The lines of the events file.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// Names one of the request-making clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// A GET on a fresh TLS connection.
    Get,
    /// A GET on the one persistent HTTP/2 connection.
    Http2,
    /// The creation of a `ConfigMap`, on a fresh TLS connection.
    Write,
}

/// Says what is known about a write right after it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// The server said 201: from here on the object must exist.
    Acked,
    /// It was sent and no verdict came back (connection lost, timeout, 5xx): it is read later.
    Ambiguous,
    /// It was never sent, or the server said no.
    Refused,
}

/// Says what an etcd member is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers, votes and leads.
    Leader,
    /// Answers and votes.
    Voter,
    /// Answers and does not vote yet.
    Learner,
    /// Listed, gives no answer of its own.
    Silent,
    /// Not in the member list.
    Absent,
    /// No member answered, so nothing is known.
    Unknown,
}

/// Says where a reading was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Quorum reads through that member's own kube-apiserver.
    Apiserver,
    /// A serializable read of that etcd member's own store.
    Etcd,
}

/// One voting or learning member as a member list shows it; `id` is lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Its name; empty while it has not started yet.
    pub name: String,
    /// Its id, lower-case hex.
    pub id: String,
    /// `voter` or `learner`.
    pub role: String,
}

/// One line. Every `at` is Unix time in seconds, every `ms` a duration in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The clients begin.
    Start {
        at: f64,
        /// Where the clients send their requests.
        server: String,
        /// The writer's namespace.
        namespace: String,
        /// The beginning of every name that the writer uses in this run.
        prefix: String,
        /// The pause between two requests of one client.
        interval_ms: u64,
    },
    /// A GET ended.
    Request {
        at: f64,
        ms: f64,
        client: Client,
        /// A 2xx with a whole body.
        ok: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Tried a second time, as client-go does unseen: the connection closed before the first byte of an answer, or the
        /// server asked for it (`Retry-After`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        retried: bool,
        /// What went wrong last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A write ended.
    Write {
        at: f64,
        ms: f64,
        name: String,
        written: Written,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// An ambiguous write was read again; no uid means that it is not there.
    Resolved { at: f64, name: String, uid: Option<String> },
    /// The watch delivered the creation of an object of this run.
    Seen { at: f64, name: String },
    /// A client made a new connection after losing one.
    Reconnect { at: f64, client: String, reason: String },
    /// The watch lost its place: 410, an ERROR event.
    Gone { at: f64, reason: String },
    /// A tick was let go because too many requests were under way.
    Skipped { at: f64, client: Client },
    /// `HAProxy` changed its mind about a server.
    Server { at: f64, server: String, state: String },
    /// An etcd member changed.
    Etcd { at: f64, name: String, role: Role },
    /// The clients ended by themselves.
    End { at: f64, reason: String },
    /// Every acknowledged write was looked for on one member.
    Verified {
        at: f64,
        member: String,
        via: Via,
        expected: usize,
        missing: Vec<String>,
        /// Why the reading could not be finished.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The member list as one member shows it.
    Members { at: f64, from: String, members: Vec<Member> },
}

impl Event {
    /// Tells when the line begins.
    pub fn at(&self) -> f64 {
        match self {
            Self::Start { at, .. }
            | Self::Request { at, .. }
            | Self::Write { at, .. }
            | Self::Resolved { at, .. }
            | Self::Seen { at, .. }
            | Self::Reconnect { at, .. }
            | Self::Gone { at, .. }
            | Self::Skipped { at, .. }
            | Self::Server { at, .. }
            | Self::Etcd { at, .. }
            | Self::End { at, .. }
            | Self::Verified { at, .. }
            | Self::Members { at, .. } => *at,
        }
    }
}

/// Reads a file of JSON lines.
///
/// A torn last line is left out: the file may be read while it is written.
pub fn read_lines<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut lines = Vec::new();
    let mut torn: Option<(usize, serde_json::Error)> = None;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("read {}", path.display()))?;
        if let Some((bad, error)) = torn {
            bail!("{} line {}: {error}", path.display(), bad + 1);
        }
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(value) => lines.push(value),
            Err(error) => torn = Some((number, error)),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let file = written("{\"kind\":\"seen\",\"at\":1.5,\"name\":\"a\"}\n{\"kind\":\"se");
        let lines: Vec<Event> = read_lines(file.path()).unwrap();
        assert_eq!(lines, [Event::Seen { at: 1.5, name: "a".into() }]);
    }

    #[test]
    fn a_bad_line_in_the_middle_is_an_error() {
        let file = written("{\"kind\":\"se\n{\"kind\":\"seen\",\"at\":1.5,\"name\":\"a\"}\n");
        let error = read_lines::<Event>(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}

//! One long watch over the writer's objects.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use serde_json::Value;

use super::writer::Writer;
use crate::event::Event;
use crate::http::{Server, chain};
use crate::journal::Journal;

/// Writes were acknowledged for this long and the watch said nothing: it hangs on a server that went deaf.
const SILENCE: Duration = Duration::from_secs(5);
/// The pause before a new connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the end of a run waits for events of acknowledged writes.
const CATCH_UP: Duration = Duration::from_secs(20);
/// How long the head of a watch's answer may take.
const OPENING: Duration = Duration::from_secs(10);

/// Why a watch ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// The connection is gone, or useless: the next one goes on from the last resourceVersion.
    Lost(String),
    /// The server no longer has what comes after the last resourceVersion: events are lost.
    Gone(String),
}

/// The watch.
pub struct Watcher {
    server: Arc<Server>,
    journal: Journal,
    path: String,
    prefix: String,
    seen: Mutex<BTreeSet<String>>,
}

impl Watcher {
    /// Makes a watch over the namespace.
    pub fn new(server: Arc<Server>, journal: Journal, namespace: &str, prefix: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        Self { server, journal, path, prefix: prefix.to_string(), seen: Mutex::default() }
    }

    /// Reads the resourceVersion to begin from; nothing of this run exists before it.
    pub async fn begin(&self) -> anyhow::Result<String> {
        let path = format!("{}?limit=1", self.path);
        let answer = self
            .server
            .fresh(Method::GET, &path, Bytes::new(), OPENING)
            .await
            .map_err(|f| anyhow!("{f}"))?;
        if !answer.is_ok() {
            return Err(anyhow!("list {}: {}", self.path, answer.excerpt()));
        }
        let list: Value = serde_json::from_slice(&answer.body).context("read the list")?;
        version(&list).ok_or_else(|| anyhow!("the list of {} has no resourceVersion", self.path))
    }

    /// Watches for ever; the caller ends it.
    pub async fn run(&self, mut from: String, writer: &Writer) {
        let mut connected = false;
        loop {
            let ending = self.follow(&mut from, writer, &mut connected).await;
            let at = self.journal.now();
            match ending {
                Ending::Gone(reason) => {
                    self.journal.put(Event::Gone { at, reason });
                    // What was between is lost and written down; watching goes on so that the rest is still seen.
                    match self.begin().await {
                        Ok(version) => from = version,
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
                Ending::Lost(reason) => {
                    // A reconnection is a connection that was there and went; attempts that find none are part of it.
                    if std::mem::take(&mut connected) {
                        self.journal.put(Event::Reconnect { at, client: "watch".into(), reason });
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits until every acknowledged write was seen, or for a while.
    pub async fn catch_up(&self, writer: &Writer) {
        let deadline = Instant::now() + CATCH_UP;
        let acked = writer.acked();
        while Instant::now() < deadline
            && !self.seen(|seen| acked.iter().all(|name| seen.contains(name)))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn follow(&self, from: &mut String, writer: &Writer, connected: &mut bool) -> Ending {
        let path = format!("{}?watch=1&allowWatchBookmarks=true&resourceVersion={from}", self.path);
        let opening = self.server.open(Method::GET, &path, Bytes::new());
        let response = match tokio::time::timeout(OPENING, opening).await {
            Err(_) => return Ending::Lost("no answer in time".into()),
            Ok(Err(fault)) => return Ending::Lost(fault.to_string()),
            Ok(Ok((response, _))) => response,
        };
        match response.status().as_u16() {
            200 => *connected = true,
            410 => return Ending::Gone("410 when the watch was opened".into()),
            status => return Ending::Lost(format!("{status} when the watch was opened")),
        }
        self.read(response.into_body(), from, writer).await
    }

    async fn read(&self, mut body: Incoming, from: &mut String, writer: &Writer) -> Ending {
        let mut rest = Vec::new();
        let mut heard = Instant::now();
        loop {
            let frame = match tokio::time::timeout(Duration::from_secs(1), body.frame()).await {
                Err(_)
                    if writer
                        .last_ack()
                        .is_some_and(|ack| ack.saturating_duration_since(heard) > SILENCE) =>
                {
                    return Ending::Lost("silent while writes were acknowledged".into());
                }
                Err(_) => continue,
                Ok(None) => return Ending::Lost("ended by the server".into()),
                Ok(Some(Err(error))) => return Ending::Lost(chain(&error)),
                Ok(Some(Ok(frame))) => frame,
            };
            heard = Instant::now();
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if let Some(ending) = self.take(&line, from) {
                    return ending;
                }
            }
        }
    }

    /// Takes one event; gives the ending it means, if any.
    fn take(&self, line: &[u8], from: &mut String) -> Option<Ending> {
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            return Some(Ending::Lost(format!(
                "unreadable event: {}",
                String::from_utf8_lossy(line)
            )));
        };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let object = event.get("object").unwrap_or(&Value::Null);
        if kind == "ERROR" {
            return Some(error_event(object));
        }
        if let Some(version) = version(object) {
            *from = version;
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        if kind == "ADDED" && name.starts_with(&self.prefix) {
            self.seen(|seen| seen.insert(name.to_string()));
            self.journal.put(Event::Seen { at: self.journal.now(), name: name.to_string() });
        }
        None
    }

    fn seen<T>(&self, look: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Says what an ERROR event means: 410 loses events, anything else ("the server is shutting down") only the connection.
fn error_event(status: &Value) -> Ending {
    let code = status.get("code").and_then(Value::as_u64).unwrap_or_default();
    let text = status.get("message").and_then(Value::as_str).unwrap_or("no message");
    if code == 410 {
        Ending::Gone(format!("410: {text}"))
    } else {
        Ending::Lost(format!("{code}: {text}"))
    }
}

fn version(object: &Value) -> Option<String> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_410_loses_events_and_any_other_error_only_the_connection() {
        let gone = error_event(&json!({"code": 410, "message": "too old resource version"}));
        assert_eq!(gone, Ending::Gone("410: too old resource version".into()));
        let lost = error_event(&json!({"code": 500, "message": "shutting down"}));
        assert_eq!(lost, Ending::Lost("500: shutting down".into()));
    }
}

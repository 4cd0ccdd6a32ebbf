//! Creates objects with unique names and keeps account of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::event::{Event, Written};
use crate::http::{Fault, Server};
use crate::journal::{Journal, ms};

/// An unanswered write may still be committed this long after it was sent: etcd gives a proposal up to 7 s.
const SETTLED: Duration = Duration::from_secs(10);
/// How long the end of a run looks for the unanswered writes.
const RESOLVE: Duration = Duration::from_secs(30);

/// The writer.
pub struct Writer {
    server: Arc<Server>,
    journal: Journal,
    namespace: String,
    prefix: String,
    limit: Duration,
    book: Mutex<Book>,
}

/// What the writer knows of its own writes.
#[derive(Default)]
struct Book {
    last_ack: Option<Instant>,
    acked: Vec<String>,
    ambiguous: BTreeMap<String, Instant>,
}

impl Writer {
    /// Makes a writer of objects named `prefix` and a number.
    pub fn new(
        server: Arc<Server>,
        journal: Journal,
        namespace: &str,
        prefix: &str,
        limit: Duration,
    ) -> Self {
        let (namespace, prefix) = (namespace.to_string(), prefix.to_string());
        Self { server, journal, namespace, prefix, limit, book: Mutex::default() }
    }

    /// Tells when the last write was acknowledged.
    pub fn last_ack(&self) -> Option<Instant> {
        self.book(|book| book.last_ack)
    }

    /// Gives the names that the watch has to have seen.
    pub fn acked(&self) -> Vec<String> {
        self.book(|book| book.acked.clone())
    }

    /// Creates one object and writes its line.
    pub async fn write(self: Arc<Self>, number: u64) {
        let name = format!("{}{number}", self.prefix);
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"number": number.to_string()}});
        let path = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let begun = Instant::now();
        let outcome =
            self.server.fresh(Method::POST, &path, Bytes::from(body.to_string()), self.limit).await;
        let (written, error) = judge(&outcome);
        let uid =
            outcome.ok().filter(|_| written == Written::Acked).and_then(|answer| uid(&answer));
        self.book(|book| match written {
            Written::Acked => {
                book.last_ack = Some(Instant::now());
                book.acked.push(name.clone());
            }
            Written::Ambiguous => {
                book.ambiguous.insert(name.clone(), begun);
            }
            Written::Refused => {}
        });
        let at = self.journal.time(begun);
        self.journal.put(Event::Write { at, ms: ms(begun.elapsed()), name, written, uid, error });
    }

    /// Reads every write that got no verdict, once it cannot change any more.
    pub async fn resolve(&self) {
        let deadline = Instant::now() + RESOLVE;
        for (name, begun) in self.book(|book| std::mem::take(&mut book.ambiguous)) {
            tokio::time::sleep_until((begun + SETTLED).into()).await;
            let path = format!("/api/v1/namespaces/{}/configmaps/{name}", self.namespace);
            while Instant::now() < deadline {
                let outcome = self.server.fresh(Method::GET, &path, Bytes::new(), self.limit).await;
                let found = match outcome {
                    Ok(answer) if answer.is_ok() => uid(&answer),
                    Ok(answer) if answer.status == 404 => None,
                    // Not an answer to the question: asked again until the deadline; a name without a line stays unresolved.
                    _ => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        continue;
                    }
                };
                if found.is_some() {
                    self.book(|book| book.acked.push(name.clone()));
                }
                self.journal.put(Event::Resolved { at: self.journal.now(), name, uid: found });
                break;
            }
        }
    }

    fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Says what is known about a write from its answer.
///
/// A 5xx is no verdict: the apiserver says 500 and 504 for a proposal that etcd may still commit.
fn judge(outcome: &Result<Answer, Fault>) -> (Written, Option<String>) {
    match outcome {
        Ok(answer) if answer.is_ok() => (Written::Acked, None),
        Ok(answer) if answer.status >= 500 => (Written::Ambiguous, Some(answer.excerpt())),
        Ok(answer) => (Written::Refused, Some(answer.excerpt())),
        Err(fault) if fault.may_have_arrived() => (Written::Ambiguous, Some(fault.to_string())),
        Err(fault) => (Written::Refused, Some(fault.to_string())),
    }
}

/// Reads `metadata.uid`.
pub fn uid(answer: &Answer) -> Option<String> {
    let object: Value = serde_json::from_slice(&answer.body).ok()?;
    object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_201_acknowledges_and_only_an_unsent_or_refused_write_is_surely_absent() {
        let answer = |status| Ok(Answer { status, body: Bytes::new(), again: None });
        let early = |sent| Err(Fault::ClosedEarly { sent, text: String::new() });
        let table = [
            (answer(201), Written::Acked),
            (answer(403), Written::Refused),
            (answer(429), Written::Refused),
            (answer(500), Written::Ambiguous),
            (answer(504), Written::Ambiguous),
            (early(true), Written::Ambiguous),
            (early(false), Written::Refused),
            (Err(Fault::Unreached(String::new())), Written::Refused),
            (Err(Fault::Timeout(Duration::from_secs(1))), Written::Ambiguous),
        ];
        for (outcome, written) in table {
            assert_eq!(judge(&outcome).0, written, "{outcome:?}");
        }
    }
}

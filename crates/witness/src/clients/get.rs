//! A GET on a fresh TLS connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;

use crate::answer::{Answer, with_one_retry};
use crate::event::{Client, Event};
use crate::http::{Fault, Server};
use crate::journal::{Journal, ms};

/// What is read: small, always there, and a quorum read.
pub const PATH: &str = "/api/v1/namespaces/default";

/// Makes the request and writes its line.
pub async fn get(server: Arc<Server>, journal: Journal, limit: Duration) {
    let begun = Instant::now();
    let (outcome, first) =
        with_one_retry(|| server.fresh(Method::GET, PATH, Bytes::new(), limit)).await;
    journal.put(line(&journal, Client::Get, begun, &outcome, first));
}

/// Gives the line of a GET.
pub fn line(
    journal: &Journal,
    client: Client,
    begun: Instant,
    outcome: &Result<Answer, Fault>,
    first: Option<String>,
) -> Event {
    let (ok, status, last) = match outcome {
        Ok(answer) if answer.is_ok() => (true, Some(answer.status), None),
        Ok(answer) => (false, Some(answer.status), Some(answer.excerpt())),
        Err(fault) => (false, None, Some(fault.to_string())),
    };
    let retried = first.is_some();
    let error = last.or(first);
    Event::Request {
        at: journal.time(begun),
        ms: ms(begun.elapsed()),
        client,
        ok,
        status,
        retried,
        error,
    }
}

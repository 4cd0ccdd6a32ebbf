//! GETs on one persistent HTTP/2 connection.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;

use super::get::{PATH, line};
use crate::answer::{Answer, with_one_retry};
use crate::event::{Client, Event};
use crate::http::{Fault, Protocol, Server, chain};
use crate::journal::Journal;

/// How often a request looks for another connection before it is sent at all.
const CONNECTIONS: usize = 3;

/// The one connection; every request travels on it until it is lost.
pub struct Persistent {
    server: Server,
    journal: Journal,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    generation: u64,
    sender: Option<SendRequest<Full<Bytes>>>,
    lost: Option<String>,
}

impl Persistent {
    /// Makes a client that connects at its first request.
    pub fn new(server: Server, journal: Journal) -> Self {
        Self { server, journal, slot: Mutex::new(Slot::default()) }
    }

    /// Makes the watched request and writes its line.
    pub async fn watched_get(self: Arc<Self>, limit: Duration) {
        let begun = Instant::now();
        let (outcome, first) = with_one_retry(|| self.get(PATH, limit)).await;
        self.journal.put(line(&self.journal, Client::Http2, begun, &outcome, first));
    }

    /// Makes one request.
    pub async fn get(&self, path: &str, limit: Duration) -> Result<Answer, Fault> {
        let used = AtomicU64::new(0);
        let Ok(outcome) = tokio::time::timeout(limit, self.exchange(path, &used)).await else {
            // A connection that swallows requests is given up: waiting longer on it would only lose more.
            self.give_up(used.load(Ordering::Relaxed), "no answer in time").await;
            return Err(Fault::Timeout(limit));
        };
        outcome
    }

    async fn exchange(&self, path: &str, used: &AtomicU64) -> Result<Answer, Fault> {
        let mut unsent = Fault::Unreached("no connection".into());
        for _ in 0..CONNECTIONS {
            let (generation, mut sender) = self.connection().await?;
            used.store(generation, Ordering::Relaxed);
            let request = self.server.request(Protocol::Two, Method::GET, path, Bytes::new())?;
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut failed) => {
                    let never_sent = failed.take_message().is_some();
                    let fault = before_headers(failed.error());
                    if fault.may_retry() {
                        self.give_up(generation, &fault.to_string()).await;
                    }
                    if !never_sent {
                        return Err(fault);
                    }
                    // The connection was on its way out (GOAWAY): the request goes to the next one, nothing was lost.
                    unsent = fault;
                    continue;
                }
            };
            let read = Answer::read(response, |error| Fault::Broken(chain(error))).await;
            if let Err(fault) = &read {
                self.give_up(generation, &fault.to_string()).await;
            }
            return read;
        }
        Err(unsent)
    }

    /// Gives the connection, and makes one when there is none; requests that come meanwhile wait for it.
    async fn connection(&self) -> Result<(u64, SendRequest<Full<Bytes>>), Fault> {
        let mut slot = self.slot.lock().await;
        if let Some(sender) = &slot.sender {
            if !sender.is_closed() {
                return Ok((slot.generation, sender.clone()));
            }
            slot.sender = None;
            slot.lost.get_or_insert_with(|| "closed by the server".into());
        }
        let (stream, _) = self.server.dial(Protocol::Two).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| Fault::ClosedEarly { sent: false, text: chain(&error) })?;
        // Lives on after a GOAWAY until the answers under way are there: dropping it would lose them.
        tokio::spawn(connection);
        slot.generation += 1;
        slot.sender = Some(sender.clone());
        if let Some(reason) = slot.lost.take() {
            let at = self.journal.now();
            self.journal.put(Event::Reconnect { at, client: "http2".into(), reason });
        }
        Ok((slot.generation, sender))
    }

    /// Lets the next request make another connection; a generation that is already replaced changes nothing.
    async fn give_up(&self, generation: u64, reason: &str) {
        let mut slot = self.slot.lock().await;
        if generation == slot.generation && slot.sender.take().is_some() {
            slot.lost.get_or_insert_with(|| reason.to_string());
        }
    }
}

/// Names a fault that came before the head of the answer.
///
/// Only the end of the connection counts as "closed"; a stream that the server reset on a living connection is an
/// answer of a kind and is not tried again.
fn before_headers(error: &hyper::Error) -> Fault {
    let text = chain(error);
    let reset = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(h2::Error::is_reset);
    if reset { Fault::Broken(text) } else { Fault::ClosedEarly { sent: true, text } }
}

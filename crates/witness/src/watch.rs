//! `witness watch`: all clients, from the first request to the last answer.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use hyper::Method;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::clients::ticker::Ticker;
use crate::clients::watcher::Watcher;
use crate::clients::writer::Writer;
use crate::clients::{etcd, get, haproxy, http2};
use crate::event::{Client, Event};
use crate::http::Server;
use crate::journal::Journal;
use crate::options::Watch;

/// The most requests of one reading client and of the writer, whatever the deadline.
const MOST_READS: u64 = 100_000;
const MOST_WRITES: u64 = 20_000;
/// How long the start may take: a control plane that answers nobody has nothing to be watched for.
const START: Duration = Duration::from_secs(30);

/// Runs until SIGTERM, SIGINT or the deadline, then drains.
///
/// # Errors
/// The server cannot be used at the start, or the events file cannot be written.
pub async fn run(options: &Watch) -> anyhow::Result<bool> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let server =
        Arc::new(Server::from_kubeconfig(&options.kubeconfig, options.server.as_deref()).await?);
    let endpoints = options.etcd.open().await?;
    let (journal, written) = Journal::open(&options.events, false)?;
    // Names of one run never meet those of another in the same namespace.
    let prefix = format!("w{:.0}-", journal.now() * 1000.0);
    let writer = Arc::new(Writer::new(
        server.clone(),
        journal.clone(),
        &options.namespace,
        &prefix,
        options.limit,
    ));
    let watcher =
        Arc::new(Watcher::new(server.clone(), journal.clone(), &options.namespace, &prefix));
    let from = tokio::time::timeout(START, begin(&server, &watcher, options))
        .await
        .unwrap_or_else(|_| Err(anyhow!("no answer in {} s", START.as_secs())))
        .with_context(|| format!("start to watch {}", server.authority()))?;
    journal.put(Event::Start {
        at: journal.now(),
        server: server.authority(),
        namespace: options.namespace.clone(),
        prefix,
        interval_ms: u64::try_from(options.every.as_millis()).unwrap_or(u64::MAX),
    });
    writeln!(std::io::stderr(), "witness: watching {} until told to stop", server.authority())?;

    let (stop, stopped) = watch::channel(false);
    let mut followers = JoinSet::new();
    if let Some(socket) = options.haproxy.clone() {
        followers.spawn(haproxy::follow(socket, options.backend.clone(), journal.clone()));
    }
    if !endpoints.is_empty() {
        followers.spawn(etcd::follow(endpoints, journal.clone()));
    }
    let (the_watcher, the_writer) = (watcher.clone(), writer.clone());
    followers.spawn(async move { the_watcher.run(from, &the_writer).await });
    let mut clients = clients(options, &server, &writer, &journal, &stopped);

    let reason = tokio::select! {
        _ = term.recv() => "told to stop",
        _ = int.recv() => "told to stop",
        () = tokio::time::sleep(options.deadline) => "deadline",
        // A client ends by itself only at its bound, and a report over the others alone would be half a report.
        _ = clients.join_next() => "number of requests",
    };
    // From here on a missing request is no gap in the watch.
    let ended = journal.now();
    let _ = stop.send(true);
    clients.join_all().await;
    writer.resolve().await;
    watcher.catch_up(&writer).await;
    followers.shutdown().await;
    journal.put(Event::End { at: ended, reason: reason.into() });
    drop((journal, writer, watcher));
    written.await.context("wait for the events file")??;
    Ok(true)
}

/// Makes sure that the namespace is there and that the clients may use it; gives the watch's place.
async fn begin(server: &Server, watcher: &Watcher, options: &Watch) -> anyhow::Result<String> {
    let body =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options.namespace}});
    let made =
        fresh(server, Method::POST, "/api/v1/namespaces", Bytes::from(body.to_string()), options)
            .await?;
    if !made.is_ok() && made.status != 409 {
        return Err(anyhow!("create namespace {:?}: {}", options.namespace, made.excerpt()));
    }
    let read = fresh(server, Method::GET, get::PATH, Bytes::new(), options).await?;
    if !read.is_ok() {
        return Err(anyhow!("get {}: {}", get::PATH, read.excerpt()));
    }
    watcher.begin().await
}

async fn fresh(
    server: &Server,
    method: Method,
    path: &str,
    body: Bytes,
    options: &Watch,
) -> anyhow::Result<Answer> {
    let what = format!("{method} {path}");
    server
        .fresh(method, path, body, options.limit)
        .await
        .map_err(|fault| anyhow!("{what}: {fault}"))
}

fn clients(
    options: &Watch,
    server: &Arc<Server>,
    writer: &Arc<Writer>,
    journal: &Journal,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let ticker =
        |client, every, at_most| Ticker { client, every, at_most, journal: journal.clone() };
    let mut clients = JoinSet::new();
    let limit = options.limit;

    let (one, lines) = (server.clone(), journal.clone());
    let request = move |_| get::get(one.clone(), lines.clone(), limit);
    clients.spawn(ticker(Client::Get, options.every, MOST_READS).run(stopped.clone(), request));

    let persistent = Arc::new(http2::Persistent::new((**server).clone(), journal.clone()));
    let request = move |_| persistent.clone().watched_get(limit);
    clients.spawn(ticker(Client::Http2, options.every, MOST_READS).run(stopped.clone(), request));

    let writer = writer.clone();
    let request = move |number| writer.clone().write(number);
    clients.spawn(
        ticker(Client::Write, options.write_every, MOST_WRITES).run(stopped.clone(), request),
    );
    clients
}

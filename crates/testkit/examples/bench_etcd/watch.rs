//! Clients that read all the time, one of each member, and what they waited while another member was being defragmented.

use anyhow::{Context, bail};
use etcd_client::Client;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use testkit::etcd::Etcd;
use tokio::task::JoinSet;

/// Between two reads of a client.
const EVERY: Duration = Duration::from_millis(10);
/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(5);
/// A defragmentation begins before its file is there, and ends after it is gone.
const AROUND: Duration = Duration::from_millis(20);
/// How long a read may be out when the work is done.
const PATIENCE: Duration = Duration::from_secs(30);

/// From, and to.
type Span = (Instant, Instant);

/// What was seen of one member.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Its client's reads: each from the first try to the one that came through.
    reads: Vec<Span>,
    /// When it was being defragmented.
    away: Vec<Span>,
}

/// Clients at work.
pub struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to read.
    pub async fn begin(etcd: &Etcd) -> anyhow::Result<Self> {
        let members = etcd.endpoints().len();
        let seen = Arc::new(Mutex::new(vec![Seen::default(); members]));
        let mut tasks = JoinSet::new();
        for index in 0..members {
            let client = etcd.client(index).await?;
            tasks.spawn(read_on(client, index, Arc::clone(&seen)));
            let dir = etcd.data_dir(index).join("member/snap");
            tasks.spawn(look_on(dir, index, Arc::clone(&seen)));
        }
        Ok(Self { seen, tasks })
    }

    /// Waits for the reads that are out, and tells the longest wait of a client whose own member was not being defragmented.
    pub async fn end(self) -> anyhow::Result<Duration> {
        let now = Instant::now();
        let back = |seen: &Seen| seen.reads.last().is_some_and(|(begun, _)| *begun >= now);
        while !lock(&self.seen).iter().all(back) {
            if now.elapsed() > PATIENCE {
                bail!("a member answers no reads {} s after the work was done", PATIENCE.as_secs());
            }
            tokio::time::sleep(EVERY).await;
        }
        drop(self.tasks);
        let seen = lock(&self.seen);
        if let Some(index) = seen.iter().position(|one| one.away.is_empty()) {
            bail!("no defragmentation of member {index} was seen");
        }
        seen.iter().filter_map(Seen::stall).max().context("no read was seen")
    }
}

impl Seen {
    fn stall(&self) -> Option<Duration> {
        let own = |read: &Span| self.away.iter().any(|away| overlaps(read, away));
        let others = self.reads.iter().filter(|read| !own(read));
        others.map(|(begun, ended)| ended.duration_since(*begun)).max()
    }
}

fn overlaps(read: &Span, away: &Span) -> bool {
    read.0 <= away.1 + AROUND && read.1 + AROUND >= away.0
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_on(mut client: Client, index: usize, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut first = None;
    loop {
        let begun = Instant::now();
        let since = *first.get_or_insert(begun);
        if client.get("watched", None).await.is_ok() {
            first = None;
            if let Some(seen) = lock(&seen).get_mut(index) {
                seen.reads.push((since, Instant::now()));
            }
        }
        tokio::time::sleep(EVERY.saturating_sub(begun.elapsed())).await;
    }
}

/// etcd copies the database into a file beside it, which then takes its name.
async fn look_on(dir: PathBuf, index: usize, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut since = None;
    loop {
        let now = Instant::now();
        if is_copying(&dir) {
            since.get_or_insert(now);
        } else if let Some(begun) = since.take()
            && let Some(seen) = lock(&seen).get_mut(index)
        {
            seen.away.push((begun, now));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_copying(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name())
        .any(|name| name.to_str().is_some_and(|name| name.starts_with("db.tmp")))
}

//! A client of another member, which tells what the stall of one costs.

use etcd_cluster::Connection;
use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    time::{Duration, Instant},
};

/// Between two reads.
const EVERY: Duration = Duration::from_millis(50);

/// What the client saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// The longest time from the begin of a read to the next one that came through.
    pub stall: Duration,
    /// Reads that were begun.
    pub reads: u64,
    /// Reads that failed.
    pub failed: u64,
    /// The begin of the first read that has not been followed by one that came through.
    waiting: Option<Instant>,
}

/// Does the work, and reads linearizably through a member meanwhile.
pub async fn while_reading<T>(member: &Connection, work: impl Future<Output = T>) -> (T, Seen) {
    let seen = RefCell::new(Seen::default());
    let done = tokio::select! {
        biased;
        done = work => done,
        never = read_on(member, &seen) => match never {},
    };
    let mut seen = seen.into_inner();
    // a read that was still out when the work ended has waited for as long
    seen.settle();
    (done, seen)
}

async fn read_on(member: &Connection, seen: &RefCell<Seen>) -> Infallible {
    loop {
        let begun = Instant::now();
        seen.borrow_mut().begin(begun);
        match member.linearizable_get().await {
            Ok(_) => seen.borrow_mut().settle(),
            Err(_) => seen.borrow_mut().failed += 1,
        }
        tokio::time::sleep(EVERY.saturating_sub(begun.elapsed())).await;
    }
}

impl Seen {
    fn begin(&mut self, now: Instant) {
        self.reads += 1;
        self.waiting.get_or_insert(now);
    }

    fn settle(&mut self) {
        if let Some(since) = self.waiting.take() {
            self.stall = self.stall.max(since.elapsed());
        }
    }
}

//! A bounded number of requests at a steady pace.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::event::{Client, Event};
use crate::journal::Journal;

/// More than a tick every 20 ms could have under way within two request limits of 5 s; past it something is stuck.
const UNDER_WAY: usize = 512;

/// Pace, number and names of one client's requests.
pub struct Ticker {
    /// The client, for its lines.
    pub client: Client,
    /// The pause between two requests.
    pub every: Duration,
    /// The most requests of one run.
    pub at_most: u64,
    /// Where the lines go.
    pub journal: Journal,
}

impl Ticker {
    /// Starts a request per tick until told to stop, then waits for those under way.
    ///
    /// A slow answer holds up no other request: users do not wait for each other either.
    pub async fn run<F>(self, mut stop: watch::Receiver<bool>, mut request: impl FnMut(u64) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tick = tokio::time::interval(self.every);
        // After a pause of this process a burst would measure the burst.
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut under_way = JoinSet::new();
        let mut number = 0;
        while number < self.at_most {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = tick.tick() => {
                    while under_way.try_join_next().is_some() {}
                    if under_way.len() >= UNDER_WAY {
                        self.journal.put(Event::Skipped { at: self.journal.now(), client: self.client });
                        continue;
                    }
                    under_way.spawn(request(number));
                    number += 1;
                }
            }
        }
        under_way.join_all().await;
    }
}

//! What is asked beside the reading: a second sample, metrics, numbers of keys.

use crate::{
    calls::Cluster,
    fault::Fault,
    http,
    keys::{self, KeyCount},
    member::{Member, MemberId},
    metrics::Metrics,
    reading::{Reading, Status},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

impl Cluster {
    /// Asks every member that answered for its status once more, all in parallel.
    pub async fn statuses(&mut self, reading: &Reading) -> BTreeMap<MemberId, Status> {
        let mut tasks = JoinSet::new();
        for (id, answer) in reading.answers.iter().filter(|(_, answer)| answer.status.is_some()) {
            let Ok(connection) = self.connection(&answer.url).await else { continue };
            let id = *id;
            tasks.spawn(async move { (id, connection.status().await) });
        }
        let mut second = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            if let Ok((id, Ok(status))) = done {
                second.insert(id, status);
            }
        }
        second
    }

    /// Prepares to get the metrics of these members at their client URLs, where they answer over HTTP as well; all in parallel.
    ///
    /// Nothing is asked before the future is polled, and it does not borrow the cluster.
    pub fn metrics(
        &self,
        members: &[Member],
        patience: Duration,
    ) -> impl Future<Output = BTreeMap<MemberId, Result<Metrics, String>>> + use<> {
        let tls = self.access.tls.clone();
        let wanted: Vec<(MemberId, Vec<String>)> =
            members.iter().map(|member| (member.id, member.client_urls.clone())).collect();
        async move {
            let mut tasks = JoinSet::new();
            for (id, urls) in wanted.into_iter().filter(|(_, urls)| !urls.is_empty()) {
                let tls = tls.clone();
                tasks.spawn_blocking(move || (id, first(&urls, tls.as_ref(), patience)));
            }
            tasks.join_all().await.into_iter().collect()
        }
    }

    /// Counts keys below prefixes through the member that is nearest, one after the other.
    ///
    /// # Errors
    /// When nobody who answered can.
    pub async fn count_keys(
        &mut self,
        reading: &Reading,
        prefixes: &[String],
    ) -> Result<Vec<KeyCount>, Fault> {
        let follower = |id: &MemberId| reading.leader().is_none_or(|(leader, _)| leader != *id);
        let mut able: Vec<(&MemberId, String)> = reading
            .answers
            .iter()
            .filter(|(_, answer)| answer.list.is_some())
            .map(|(id, answer)| (id, answer.url.clone()))
            .collect();
        // the leader has enough to do
        able.sort_by_key(|(id, url)| (!follower(id), url.clone()));
        let mut last = Fault::deadline("count keys: nobody to ask", 0.0);
        for (_, url) in able {
            let counted = async {
                let connection = self.connection(&url).await?;
                let mut all = vec![];
                for prefix in prefixes {
                    all.push(keys::count(&connection, prefix).await?);
                }
                Ok(all)
            };
            match Box::pin(counted).await {
                Ok(all) => return Ok(all),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}

fn first(
    urls: &[String],
    tls: Option<&crate::certs::Tls>,
    patience: Duration,
) -> Result<Metrics, String> {
    let mut last = Err(String::new());
    for url in urls {
        last = http::metrics(tls, url, patience);
        if last.is_ok() {
            break;
        }
    }
    last
}

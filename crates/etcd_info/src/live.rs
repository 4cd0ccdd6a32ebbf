//! The calls: one reading, and what is read beside it, all in parallel.

use crate::{
    args::Wanted,
    diagnose::is_storm,
    local::Local,
    state::{Beside, Certificate, Endpoint, Node, Observed},
};
use anyhow::Context;
use etcd_cluster::{
    Access, Cluster, Member, MemberId, Reading,
    calls::Unreadable,
    gate::quorum,
    handshake::Shown,
    matching::host_and_port,
    reading::{Answer, Status},
};
use host::certificate::{self, Life};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// How long an election is waited out before a quorum is called lost.
const ELECTION: Duration = Duration::from_secs(8);
/// Metrics are got from members that have just answered.
const METRICS: Duration = Duration::from_secs(5);
/// So are certificates.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// An open cluster.
pub struct Live(Cluster);

impl Live {
    /// Reads the certificates. Nothing is sent.
    pub fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let access =
            Access::for_endpoints(&wanted.endpoints, &wanted.files).context("reach etcd")?;
        Ok(Self(Cluster::new(access, &wanted.endpoints)))
    }

    /// Reads the cluster once; and this host, where the cluster does not tell enough.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let begun = Instant::now();
        let read = self.read(wanted.hashkv).await;
        let mut beside = Beside { endpoints: self.endpoints(), ..Beside::default() };
        let now = SystemTime::now();
        let confirmed = read.as_ref().is_ok_and(|reading| reading.linearizable);
        if !confirmed || own_is_dead(&beside) {
            beside.local = Local::read(Path::new("/"), now).await;
        }
        let reading = match read {
            Ok(reading) => reading,
            // two clusters are nobody's diagnosis; and a host without a member of its own has nothing left to tell
            Err(Unreadable::NoList(why)) if beside.local.is_some() => {
                let why = Unreadable::NoList(why).to_string();
                beside.unread = Some(why.clone());
                beside.missing.push(why);
                return Ok(Observed::of(wanted, Reading::default(), beside, now));
            }
            Err(error) => return Err(error).context("read the etcd cluster"),
        };
        self.read_beside(wanted, &reading, &mut beside, begun).await;
        Ok(Observed::of(wanted, reading, beside, SystemTime::now()))
    }

    /// Waits an election out: only where enough voters answer can there be one.
    async fn read(&mut self, hash: bool) -> Result<Reading, Unreadable> {
        let until = Instant::now() + ELECTION;
        loop {
            let reading = self.0.read(hash).await?;
            let voters = || reading.members.iter().filter(|member| member.is_voter());
            let answering = voters().filter(|member| reading.answers_at(member.id)).count();
            let settled = reading.linearizable || answering < quorum(voters().count());
            if settled || Instant::now() >= until {
                return Ok(reading);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn read_beside(
        &mut self,
        wanted: &Wanted,
        reading: &Reading,
        beside: &mut Beside,
        begun: Instant,
    ) {
        let answering: Vec<_> =
            reading.members.iter().filter(|m| reading.answers_at(m.id)).cloned().collect();
        let asked = if wanted.metrics { answering.as_slice() } else { &[] };
        let metrics = self.0.metrics(asked, METRICS);
        // who does not answer because of a certificate shows it all the same
        let refused = |m: &&Member| {
            let fault = reading.answers.get(&m.id).and_then(|answer| answer.fault.as_ref());
            reading.answers_at(m.id) || fault.is_some_and(|fault| fault.certificate().is_some())
        };
        let showing: Vec<_> = reading.members.iter().filter(refused).cloned().collect();
        let (certificates, metrics, nodes, second) = tokio::join!(
            Box::pin(certificates(&self.0, &showing)),
            Box::pin(metrics),
            Box::pin(nodes(wanted)),
            Box::pin(self.samples(reading, begun))
        );
        (beside.second, beside.between_ms) = second;
        beside.certificates = certificates;
        for (id, one) in metrics {
            match one {
                Ok(one) => drop(beside.metrics.insert(id, one)),
                Err(why) => beside.missing.push(format!("metrics of {id}: {why}")),
            }
        }
        match nodes.transpose() {
            Ok(nodes) => beside.nodes = nodes,
            Err(why) => beside.missing.push(format!("Nodes: {why:#}")),
        }
        if !wanted.count_keys.is_empty() {
            match self.0.count_keys(reading, &wanted.count_keys).await {
                Ok(keys) => beside.keys = Some(keys),
                Err(fault) => beside.missing.push(format!("numbers of keys: {fault}")),
            }
        }
    }

    /// The second sample; once more a second later where the log seems to grow fast, for a moment tells no rate.
    async fn samples(
        &mut self,
        reading: &Reading,
        begun: Instant,
    ) -> (BTreeMap<MemberId, Status>, u64) {
        let mut second = self.0.statuses(reading).await;
        if is_storm(reading, &second, millis(begun)) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            second = self.0.statuses(reading).await;
        }
        (second, millis(begun))
    }

    fn endpoints(&self) -> BTreeMap<String, Endpoint> {
        let one = |(url, answer): (&String, &Answer)| {
            let status = answer.status.as_ref();
            let endpoint = Endpoint {
                member: status.map(|status| status.member_id),
                cluster: status.map(|status| status.cluster_id),
                fault: answer.fault.clone().filter(|_| status.is_none()),
            };
            (url.clone(), endpoint)
        };
        self.0.heard().iter().map(one).collect()
    }
}

/// Those that members show, and the one that they are shown. What cannot be read is none.
fn certificates(
    cluster: &Cluster,
    members: &[Member],
) -> impl Future<Output = Vec<Certificate>> + use<> {
    let now = SystemTime::now();
    let one = move |member: Option<MemberId>, url: Option<String>, life: Life| Certificate {
        member_id: member.map(|id| id.to_string()),
        url,
        days_left: life.days_left(now),
        lifetime_days: life.lifetime_days(),
        not_after: life.ends.to_string(),
        subject: life.subject,
    };
    let own = String::from_utf8_lossy(cluster.own_certificate().unwrap_or_default()).into_owned();
    let own = certificate::lives(&own).unwrap_or_default().into_iter().take(1);
    let shown = cluster.certificates(members, HANDSHAKE);
    async move {
        let shown = shown.await.into_iter().filter_map(|Shown { member, url, der }| {
            Some(one(Some(member), Some(url), certificate::life(&der).ok()?))
        });
        shown.chain(own.map(|life| one(None, None, life))).collect()
    }
}

/// An endpoint of this host that does not answer.
fn own_is_dead(beside: &Beside) -> bool {
    let own = host::identity::addresses().unwrap_or_default();
    let here = |url: &str| {
        let host = host_and_port(url).0;
        host == "localhost"
            || host.parse().is_ok_and(|at: IpAddr| at.is_loopback() || own.contains(&at))
    };
    beside.endpoints.iter().any(|(url, endpoint)| endpoint.fault.is_some() && here(url))
}

async fn nodes(wanted: &Wanted) -> Option<anyhow::Result<Vec<Node>>> {
    let path = wanted.kubeconfig.as_ref()?;
    let read = async {
        let access = kube_cluster::Access::at(path);
        let nodes = kube_cluster::Cluster::open(&access).await?.nodes().await?;
        let one = |node: kube_cluster::Node| Node {
            member: node.etcd_name().unwrap_or(&node.name).to_owned(),
            // a k3s server without the label runs no member
            control_plane: node.is_control_plane() && (!node.is_k3s() || node.has_etcd_label()),
            name: node.name,
        };
        anyhow::Ok(nodes.into_iter().map(one).collect())
    };
    Some(read.await)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

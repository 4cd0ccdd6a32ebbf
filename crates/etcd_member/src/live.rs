//! The calls. What only this process knows (since when a member has been proven) is kept here and reported by observing.

use crate::{
    args::Wanted,
    state::{Observed, Step},
};
use ansible_module::{Applied, Refusal};
use anyhow::Context;
use etcd_cluster::{
    Access, Cluster, Evidence, MemberId, Reading, Target, Which,
    fault::{Fault, Kind, Retry},
};
use kube_cluster::assert_held;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

/// How long members may be in doubt because this run moved leadership.
const ELECTION: Duration = Duration::from_secs(10);

/// An open cluster, and what was seen of it before.
pub struct Live {
    cluster: Cluster,
    /// The first sample of an unbroken row in which a member was proven.
    since: BTreeMap<MemberId, SystemTime>,
    moved: Option<Instant>,
}

impl Live {
    /// Reads the certificates. Nothing is sent.
    pub fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let access =
            Access::for_endpoints(&wanted.endpoints, &wanted.files).context("reach etcd")?;
        Ok(Self {
            cluster: Cluster::new(access, &wanted.endpoints),
            since: BTreeMap::new(),
            moved: None,
        })
    }

    /// Reads the cluster once.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let reading = self.cluster.read(false).await.context("read the etcd cluster")?;
        let evidence = Evidence::weigh(&reading, wanted.kubernetes.as_ref());
        let proven_for_ms = self.remember(wanted, &reading, &evidence, SystemTime::now());
        Ok(Observed { reading, proven_for_ms })
    }

    /// One doubt ends the row, unless this run has just moved leadership and caused it.
    fn remember(
        &mut self,
        wanted: &Wanted,
        reading: &Reading,
        evidence: &Evidence,
        now: SystemTime,
    ) -> BTreeMap<MemberId, u64> {
        let excused = self.moved.is_some_and(|moved| moved.elapsed() < ELECTION);
        let earlier =
            wanted.sample.as_ref().filter(|sample| sample.cluster_id == reading.cluster_id);
        let mut ages = BTreeMap::new();
        for member in &reading.members {
            if !evidence.is_proven(member.id) {
                if !excused {
                    self.since.remove(&member.id);
                }
                continue;
            }
            // the sample given counts for who was proven then, and has not been in doubt since this run began
            let first = earlier.filter(|sample| sample.proven.contains(&member.id));
            let begun = first.map_or(now, |sample| sample.taken.min(now));
            let since = *self.since.entry(member.id).or_insert(begun);
            let age = now.duration_since(since).unwrap_or_default().as_millis();
            ages.insert(member.id, u64::try_from(age).unwrap_or(u64::MAX));
        }
        ages
    }

    /// Proves that the lock is still this run's own.
    pub async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        let Some(fence) = &wanted.fence else { return Ok(()) };
        let held = assert_held(fence).await;
        held.map(|_| ()).map_err(|why| Refusal::finally(why.code(), why.to_string()))
    }

    /// Sends one step.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        match step {
            Step::MoveLeader(which) | Step::HandOver(which) => {
                self.move_leader(which, &observed.reading).await
            }
            Step::Lead(which) => self.lead(which, &observed.reading).await,
            Step::Promote(target) => self.promote(target, &observed.reading).await,
            Step::Remove(which) => self.remove(which, &observed.reading).await,
            Step::Disarm(alarm) => {
                let peer = self.cluster.to_peer(&observed.reading, alarm.member).await?;
                peer.disarm(*alarm).await.with_context(|| format!("disarm {}", alarm.kind))?;
                Ok(Applied::Sent)
            }
            Step::AwaitProven
            | Step::AwaitSync(_)
            | Step::AwaitGone(_)
            | Step::AwaitVoter(_)
            | Step::AwaitHealthy(_) => Ok(Applied::Sent),
        }
    }

    /// Only the leader accepts this; each voter that could lead is tried in turn by the next readings.
    async fn move_leader(&mut self, which: &Which, reading: &Reading) -> anyhow::Result<Applied> {
        let heirs = reading.successors(which.id);
        let to = *heirs
            .first()
            .with_context(|| format!("find a healthy voter to lead in place of {}", which.label))?;
        self.hand_over(which.id, to, reading).await
    }

    /// The leader is asked, whoever that is by now.
    async fn lead(&mut self, heir: &Which, reading: &Reading) -> anyhow::Result<Applied> {
        let (leader, _) = reading.leader().context("find the leader: none is known")?;
        self.hand_over(leader, heir.id, reading).await
    }

    async fn hand_over(
        &mut self,
        from: MemberId,
        to: MemberId,
        reading: &Reading,
    ) -> anyhow::Result<Applied> {
        self.moved = Some(Instant::now());
        let answer = self.cluster.hand_over(reading, from, to).await;
        let not = answer.with_context(|| format!("move leadership to {to}"))?;
        Ok(not.map_or(Applied::Sent, |why| Applied::Again(Duration::from_millis(200), why)))
    }

    /// By the id that it has by now; etcd itself refuses while its log is short.
    async fn promote(&mut self, target: &Target, reading: &Reading) -> anyhow::Result<Applied> {
        let learner = target.find(&reading.members).context("find the learner")?;
        let learner = learner.with_context(|| format!("find {target} in the member list"))?;
        let peer = self.cluster.to_peer(reading, learner.id).await?;
        match peer.promote(learner.id).await {
            // it has its vote already
            Err(fault) if fault.kind == Kind::NotLearner => Ok(Applied::Sent),
            answer => sent(answer, &format!("promote {} through {}", learner.label(), peer.url())),
        }
    }

    /// By id, through a peer, after the peer has confirmed with a quorum who that id is.
    async fn remove(&mut self, which: &Which, reading: &Reading) -> anyhow::Result<Applied> {
        let peer = self.cluster.to_peer(reading, which.id).await?;
        let list = peer
            .members()
            .await
            .with_context(|| format!("read the member list at {}", peer.url()))?;
        let Some(listed) = list.iter().find(|member| member.id == which.id) else {
            return Ok(Applied::Sent);
        };
        let planned = reading.member(which.id);
        let same =
            planned.is_some_and(|m| m.name == listed.name && m.peer_urls == listed.peer_urls);
        if !same || planned.is_some_and(|m| m.role != listed.role) {
            let why = format!("{} has changed in the list to {}", which.label, listed.label());
            return Ok(Applied::Again(Duration::ZERO, why));
        }
        if peer.status().await.is_ok_and(|status| status.leader == which.id) {
            return Ok(Applied::Again(
                Duration::ZERO,
                format!("{} became the leader again", which.label),
            ));
        }
        sent(
            peer.remove(which.id).await.map(|_| ()),
            &format!("remove {} through {}", which.label, peer.url()),
        )
    }
}

/// What the server surely did not do is tried again; what it may have done is looked at first.
fn sent(answer: Result<(), Fault>, what: &str) -> anyhow::Result<Applied> {
    let Err(fault) = answer else { return Ok(Applied::Sent) };
    let refused = matches!(fault.kind, Kind::Unhealthy | Kind::NotEnoughStarted | Kind::NoLeader);
    match fault.retry() {
        Retry::Done => Ok(Applied::Sent),
        Retry::Later => Ok(Applied::Again(Duration::from_secs(1), fault.text)),
        // etcd's own check is stricter for some seconds after a connection broke
        Retry::Reread if refused => Ok(Applied::Again(Duration::from_secs(1), fault.text)),
        _ => Err(fault).with_context(|| what.to_owned()),
    }
}

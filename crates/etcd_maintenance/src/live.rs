//! The calls. What only this process knows (since when a member has been proven, what was defragmented) is kept here and reported by observing.

use crate::{
    args::{Compact, Wanted},
    calls::{Direct, Past},
    history::{self, Found},
    plan::{not_worth, patience},
    probe::while_reading,
    state::{Compaction, Observed, Record, Step, successors, without_no_space},
};
use ansible_module::{Applied, Refusal};
use anyhow::{Context, Result};
use etcd_cluster::{
    Access, Cluster, Evidence, Member, MemberId, Reading, Which,
    fault::{Fault, Kind, Retry},
    matching::host_and_port,
    reading::Alarm,
};
use kube_cluster::{Fence, Holder, LockName, assert_held};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

/// How long members may be in doubt because this run moved leadership.
const ELECTION: Duration = Duration::from_secs(10);
/// What is in use has come to rest when it has not moved for so long.
const REST: Duration = Duration::from_secs(2);

/// etcd commits every 100 ms (`--backend-batch-interval`).
const COMMITTED: Duration = Duration::from_millis(250);

/// An open cluster, and what this run knows of it.
pub struct Live {
    cluster: Cluster,
    /// The first sample of an unbroken row in which a member was proven.
    since: BTreeMap<MemberId, Instant>,
    moved: Option<Instant>,
    done: BTreeMap<MemberId, Record>,
    /// Found once: a later search would find a later one, and that would be another step.
    revision: Option<Found>,
    sent_compaction: bool,
    /// What was in use of each file when it last moved, and when that was.
    in_use: Option<(BTreeMap<MemberId, i64>, Instant)>,
    alarmed: bool,
    /// Judged once: a member that crosses the threshold meanwhile would be a step that nobody was shown.
    left_alone: Option<BTreeSet<MemberId>>,
}

impl Live {
    /// Reads the certificates. Nothing is sent.
    pub fn open(wanted: &Wanted) -> Result<Self> {
        let access =
            Access::for_endpoints(&wanted.endpoints, &wanted.files).context("reach etcd")?;
        Ok(Self {
            cluster: Cluster::new(access, &wanted.endpoints),
            since: BTreeMap::new(),
            moved: None,
            done: BTreeMap::new(),
            revision: None,
            sent_compaction: false,
            in_use: None,
            alarmed: false,
            left_alone: None,
        })
    }

    /// Reads the cluster once.
    pub async fn observe(&mut self, wanted: &Wanted) -> Result<Observed> {
        let reading = self.cluster.read(false).await.context("read the etcd cluster")?;
        let mut observed =
            Observed { proven_for_ms: self.remember(&reading), ..Observed::default() };
        self.alarmed = reading.alarms.as_ref().is_none_or(|alarms| !alarms.is_empty());
        for (id, record) in &mut self.done {
            record.after = reading.status(*id).map(|status| status.db_size).or(record.after);
        }
        observed.done.clone_from(&self.done);
        observed.free = local_free(&reading, wanted);
        if let Some(compact) = &wanted.compact {
            let looked = self.look_at_history(wanted, compact, &reading, &mut observed);
            Box::pin(looked).await?;
        }
        observed.reading = reading;
        let left_alone = self.left_alone.get_or_insert_with(|| not_worth(wanted, &observed));
        observed.left_alone.clone_from(left_alone);
        Ok(observed)
    }

    /// One doubt ends the row, unless this run has just moved leadership and caused it.
    fn remember(&mut self, reading: &Reading) -> BTreeMap<MemberId, u64> {
        let evidence = Evidence::weigh(&without_no_space(reading), None);
        let excused = self.moved.is_some_and(|moved| moved.elapsed() < ELECTION);
        let mut ages = BTreeMap::new();
        for member in &reading.members {
            if evidence.is_proven(member.id) {
                let age = self.since.entry(member.id).or_insert_with(Instant::now).elapsed();
                ages.insert(member.id, u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            } else if !excused {
                self.since.remove(&member.id);
            }
        }
        ages
    }

    /// How far the history is compacted, and how far it is to be.
    async fn look_at_history(
        &mut self,
        wanted: &Wanted,
        compact: &Compact,
        reading: &Reading,
        observed: &mut Observed,
    ) -> Result<()> {
        let newest = newest(reading);
        let Some(url) = serving(reading, None) else { return Ok(()) };
        let member = self.direct(&url).await?;
        if self.revision.is_none() {
            let found = match compact {
                Compact::Revision(revision) => Ok(Found::Revision(*revision)),
                Compact::Age(age) => by_age(&member, &wanted.prefix, newest, *age).await,
            };
            self.revision = Some(found.context("search the history")?);
        }
        let revision = match &self.revision {
            Some(Found::Revision(revision)) => *revision,
            Some(Found::Unknown(why)) => {
                observed.age_unknown = Some(why.clone());
                return Ok(());
            }
            _ => return Ok(()),
        };
        // one revision before the one that is kept can be read until it is compacted
        let past = member.past("quorate", revision - 1, 1).await;
        let compacted = match past {
            Ok(past) => matches!(past, Past::Compacted),
            Err(fault) if fault.kind == Kind::FutureRevision => false,
            Err(fault) => return Err(fault).context("look how far the history is compacted"),
        };
        let settled = self.has_come_to_rest(reading);
        let ours = self.sent_compaction;
        observed.compaction = Some(Compaction { revision, newest, compacted, ours, settled });
        Ok(())
    }

    /// Live clusters write all the time: what moves less than a percent does not move.
    fn has_come_to_rest(&mut self, reading: &Reading) -> bool {
        let one = |member: &Member| Some((member.id, reading.status(member.id)?));
        let all: BTreeMap<_, _> = reading.members.iter().filter_map(one).collect();
        let near = |id: &MemberId, before: &i64| {
            let now = all.get(id);
            now.is_some_and(|now| (now.db_in_use - before).abs() <= now.db_size / 100)
        };
        if let Some((before, since)) = &self.in_use
            && before.iter().all(|(id, before)| near(id, before))
        {
            return since.elapsed() >= REST;
        }
        let in_use = all.iter().map(|(id, status)| (*id, status.db_in_use)).collect();
        self.in_use = Some((in_use, Instant::now()));
        false
    }

    /// Proves that the lock is still this run's own.
    pub async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        let Some(fence) = &wanted.fence else { return Ok(()) };
        if self.alarmed {
            return by_reading(fence).await;
        }
        let held = assert_held(fence).await;
        held.map(|_| ()).map_err(|why| Refusal::finally(why.code(), why.to_string()))
    }

    /// Sends one step.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> Result<Applied> {
        match step {
            Step::Compact(revision) => Box::pin(self.compact(*revision, &observed.reading)).await,
            Step::MoveLeader(which) => self.move_leader(which, observed).await,
            Step::Defragment(which) => Box::pin(self.defragment(which, &observed.reading)).await,
            Step::Disarm(alarm) => self.disarm(*alarm, &observed.reading).await,
            Step::AwaitFreed | Step::AwaitHealthy => Ok(Applied::Sent),
        }
    }

    /// For the calls that only this module makes.
    async fn direct(&mut self, url: &str) -> Result<Direct> {
        let connection = Box::pin(self.cluster.connection(url)).await.context("reach a member")?;
        Ok(Direct::from(&connection))
    }

    async fn compact(&mut self, revision: i64, reading: &Reading) -> Result<Applied> {
        let url = serving(reading, None).context("find a member that serves")?;
        let member = self.direct(&url).await?;
        self.sent_compaction = true;
        self.in_use = None;
        // the pages that one freed are counted as free by the commits after it, and nobody else may be writing (NOSPACE): the last revision makes them
        for (part, pause) in [(revision - 1, COMMITTED), (revision, Duration::ZERO)] {
            match member.compact(part, Duration::from_mins(2)).await {
                // whether it is compacted is read; how long it takes to free the pages is nobody's business here
                Err(fault) if fault.retry() != Retry::Reread => {
                    return Err(fault)
                        .with_context(|| format!("compact to revision {part} through {url}"));
                }
                _ => tokio::time::sleep(pause).await,
            }
        }
        Ok(Applied::Sent)
    }

    /// Only the leader accepts this; each voter that could lead is tried in turn by the next readings.
    async fn move_leader(&mut self, which: &Which, observed: &Observed) -> Result<Applied> {
        let heirs = successors(observed, which.id);
        let none = || format!("find a healthy voter to lead in place of {}", which.label);
        let to = *heirs.first().with_context(none)?;
        self.moved = Some(Instant::now());
        let answer = self.cluster.hand_over(&observed.reading, which.id, to).await;
        let not = answer.with_context(|| format!("move leadership to {to}"))?;
        Ok(not.map_or(Applied::Sent, |why| Applied::Again(Duration::from_millis(200), why)))
    }

    /// On the member itself, which must not lead; watched through another.
    async fn defragment(&mut self, which: &Which, reading: &Reading) -> Result<Applied> {
        let member = reading.member(which.id).with_context(|| format!("find {}", which.label))?;
        let own = self.cluster.to_member(reading, which.id).await?;
        let status = own.status().await.with_context(|| format!("ask {}", which.label))?;
        let alone = reading.members.iter().filter(|member| member.is_voter()).count() == 1;
        if status.member_id != which.id || (status.leader == which.id && !alone) {
            let why = format!("{} became the leader again", which.label);
            return Ok(Applied::Again(Duration::ZERO, why));
        }
        let direct = Direct::from(&own);
        let work = direct.defragment(patience(status.db_size));
        let begun = Instant::now();
        let other = serving(reading, Some(which.id));
        let (answer, seen) = match other {
            Some(url) => {
                let probe = self.cluster.connection(&url).await?;
                let (answer, seen) = Box::pin(while_reading(&probe, work)).await;
                (answer, Some(seen))
            }
            None => (work.await, None),
        };
        match answer {
            Ok(()) => {}
            // the server goes on: that it is done is seen by its file
            Err(fault) if fault.kind == Kind::Deadline => return Ok(Applied::Sent),
            Err(fault) => return Err(fault).with_context(|| format!("defragment {}", which.label)),
        }
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let record = Record {
            name: member.name.clone(),
            before: status.db_size,
            after: None,
            took_ms: millis(begun.elapsed()),
            stall_ms: seen.as_ref().map(|seen| millis(seen.stall)),
            reads: seen.as_ref().map_or(0, |seen| seen.reads),
            failed_reads: seen.as_ref().map_or(0, |seen| seen.failed),
        };
        self.done.insert(which.id, record);
        // it was away: everybody's evidence begins anew
        self.since.clear();
        Ok(Applied::Sent)
    }

    async fn disarm(&mut self, alarm: Alarm, reading: &Reading) -> Result<Applied> {
        let url = serving(reading, None).context("find a member that serves")?;
        let member = self.cluster.connection(&url).await?;
        member
            .disarm(alarm)
            .await
            .with_context(|| format!("disarm {} of {}", alarm.kind, alarm.member))?;
        Ok(Applied::Sent)
    }
}

async fn by_age(member: &Direct, prefix: &str, newest: i64, age: Duration) -> Result<Found, Fault> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let slack = (age / 10).max(Duration::from_mins(1));
    // a little more history than asked for is no reason to compact: a second run finds nothing to do
    match history::before(member, prefix, newest, now.saturating_sub(age + slack)).await? {
        Found::Revision(_) => {
            history::before(member, prefix, newest, now.saturating_sub(age)).await
        }
        other => Ok(other),
    }
}

/// An alarm stops the write that renews a lease: then it is only read.
async fn by_reading(fence: &Fence) -> Result<(), Refusal> {
    let access =
        kube_cluster::Access { kubeconfig: fence.kubeconfig.clone(), ..Default::default() };
    let seen = async {
        let name = LockName { namespace: fence.namespace.clone(), name: fence.name.clone() };
        kube_cluster::Cluster::open(&access).await?.lock(&name).await
    };
    let unknown = |error: &dyn std::fmt::Display| {
        Refusal::finally(
            "lock_unknown",
            format!(
                "whether this run still holds the control plane's lock cannot be told: {error}; nothing more was changed"
            ),
        )
    };
    let seen = Box::pin(seen).await.map_err(|error| unknown(&error))?;
    let held = seen.held_by(&Holder::new(&fence.holder)).map(|_| ());
    held.map_err(|why| {
        Refusal::finally("lock_lost", format!("this run no longer holds the control plane's lock: {why}; nothing more was changed; run the same command again"))
    })
}

fn newest(reading: &Reading) -> i64 {
    let statuses = reading.answers.values().filter_map(|answer| answer.status.as_ref());
    statuses.map(|status| status.revision).max().unwrap_or_default()
}

/// A voter that serves linearizable reads; a follower before the leader, for its reads take the way of most clients.
fn serving(reading: &Reading, not: Option<MemberId>) -> Option<String> {
    let leader = reading.leader().map(|(leader, _)| leader);
    let mut voters: Vec<&Member> =
        reading.members.iter().filter(|m| m.is_voter() && Some(m.id) != not).collect();
    voters.sort_by_key(|member| Some(member.id) == leader);
    let answers = voters.iter().filter_map(|member| reading.answers.get(&member.id));
    answers.filter(|answer| answer.linearizable).map(|answer| answer.url.clone()).next()
}

/// The room beside the data of the member on this host, found by its address.
fn local_free(reading: &Reading, wanted: &Wanted) -> BTreeMap<MemberId, u64> {
    let own = host::identity::addresses().unwrap_or_default();
    let here = |member: &&Member| {
        let mut hosts = member.peer_urls.iter().map(|url| host_and_port(url).0.parse());
        hosts.any(|host| host.is_ok_and(|host: IpAddr| own.contains(&host)))
    };
    let free = || {
        let about = nix::sys::statvfs::statvfs(&wanted.data_dir).ok()?;
        Some(about.blocks_available() * about.fragment_size())
    };
    let local = reading.members.iter().find(here);
    local.and_then(|member| Some((member.id, free()?))).into_iter().collect()
}

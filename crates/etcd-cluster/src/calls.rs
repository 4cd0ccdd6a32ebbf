//! Reading the whole cluster at once, and choosing whom to send a change to.

use crate::{
    choose::{adopt_better, answers_of, of_seeds},
    client::{Access, Connection},
    fault::{Fault, Kind},
    member::{Member, MemberId},
    reading::{AlarmKind, Answer, Reading, Status},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// A cluster as seen from some of its endpoints.
pub struct Cluster {
    pub(crate) access: Access,
    seeds: Vec<String>,
    /// Client URLs that the members told, for when none of the endpoints given is left.
    known: BTreeSet<String>,
    /// The cluster, once a reading has shown which it is.
    id: Option<MemberId>,
    open: BTreeMap<String, Connection>,
    /// What the endpoints given answered last.
    heard: BTreeMap<String, Answer>,
}

/// Why there is no reading at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// No endpoint told a member list.
    NoList(Vec<(String, String)>),
    /// The endpoints belong to different clusters.
    TwoClusters(Vec<(String, MemberId)>),
    /// No member but the one that goes could serve a call.
    NoPeer(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoList(each) => {
                let each: Vec<String> =
                    each.iter().map(|(url, why)| format!("{url}: {why}")).collect();
                write!(
                    f,
                    "no endpoint told the member list ({}); give endpoints of members that run, and certificates they accept",
                    each.join("; ")
                )
            }
            Self::TwoClusters(each) => {
                let each: Vec<String> =
                    each.iter().map(|(url, id)| format!("{url} belongs to {id}")).collect();
                write!(
                    f,
                    "the endpoints belong to different clusters: {}; one of them may have lost its data and founded its own",
                    each.join(", ")
                )
            }
            Self::NoPeer(label) => write!(
                f,
                "no member other than {label} serves linearizable reads, a peer is needed to send the change to"
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Cluster {
    /// Prepares to read. Nothing is sent.
    pub fn new(access: Access, endpoints: &[String]) -> Self {
        Self {
            access,
            seeds: endpoints.to_vec(),
            known: BTreeSet::new(),
            id: None,
            open: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// Lists the members as confirmed by a quorum, read-only and cheap: the first endpoint that can serves it.
    ///
    /// # Errors
    /// When no endpoint can.
    pub async fn members(&mut self) -> Result<Vec<Member>, Unreadable> {
        let mut why = vec![];
        for url in self.seeds.clone() {
            let list = async { self.connection(&url).await?.members().await };
            match Box::pin(list).await {
                Ok(list) => return Ok(list),
                Err(fault) => why.push((url, fault.text)),
            }
        }
        Err(Unreadable::NoList(why))
    }

    /// Reads everything once, all members in parallel, each call with its own deadline.
    ///
    /// # Errors
    /// When no endpoint tells a member list, or they tell of different clusters.
    pub async fn read(&mut self, hash: bool) -> Result<Reading, Unreadable> {
        let itself = |url: &String| (url.clone(), vec![url.clone()]);
        let mut seen = self.probe_all(self.seeds.iter().map(itself).collect()).await;
        self.heard.clone_from(&seen);
        let mut reading = match of_seeds(&seen, self.id) {
            // the endpoints given may all have been the member that has just been removed
            Err(Unreadable::NoList(_)) if !self.known.is_empty() => {
                seen.extend(self.probe_all(self.known.iter().map(itself).collect()).await);
                of_seeds(&seen, self.id)?
            }
            first => first?,
        };
        // once more when a member knows better than the endpoints given: they may all be cut off from the leader
        for _ in 0..2 {
            let asked = |m: &Member| {
                m.client_urls.iter().any(|url| seen.values().any(|answer| answer.url == *url))
            };
            let rest = reading
                .members
                .iter()
                .filter(|m| !asked(m))
                .map(|m| (m.id.to_string(), m.client_urls.clone()))
                .collect();
            seen.extend(self.probe_all(rest).await);
            if reading.linearizable || !adopt_better(&mut reading, &seen) {
                break;
            }
        }
        reading.answers = answers_of(&reading.members, &seen);
        self.id = Some(reading.cluster_id);
        self.known = reading.members.iter().flat_map(|m| m.client_urls.iter().cloned()).collect();
        Box::pin(self.add_alarms(&mut reading)).await;
        let corrupt = reading.alarms.iter().flatten().any(|alarm| alarm.kind == AlarmKind::Corrupt);
        if hash || corrupt {
            Box::pin(self.add_hashes(&mut reading)).await;
        }
        Ok(reading)
    }

    /// Tells what each endpoint given answered in the last reading, also when there was none: by its URL.
    pub fn heard(&self) -> &BTreeMap<String, Answer> {
        &self.heard
    }

    /// Opens, or takes the open, connection to a URL.
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used.
    pub async fn connection(&mut self, url: &str) -> Result<Connection, Fault> {
        if let Some(open) = self.open.get(url) {
            return Ok(open.clone());
        }
        let open = Box::pin(Connection::new(&self.access, url)).await?;
        self.open.insert(url.to_owned(), open.clone());
        Ok(open)
    }

    /// Opens a connection to one member, where it answered.
    ///
    /// # Errors
    /// When it did not answer.
    pub async fn to_member(
        &mut self,
        reading: &Reading,
        id: MemberId,
    ) -> Result<Connection, Fault> {
        let url = reading.answers.get(&id).map(|answer| answer.url.clone()).unwrap_or_default();
        self.connection(&url).await
    }

    /// Hands leadership over, at the leader itself. `Some` tells why it was not to be had: it moved by itself, or the choice was overtaken, and the next
    /// reading shows who leads.
    ///
    /// # Errors
    /// When the leader did not answer, or refuses for another reason.
    pub async fn hand_over(
        &mut self,
        reading: &Reading,
        from: MemberId,
        to: MemberId,
    ) -> Result<Option<String>, Fault> {
        let moved = async { self.to_member(reading, from).await?.move_leader(to).await };
        match Box::pin(moved).await {
            Ok(()) => Ok(None),
            Err(fault) if matches!(fault.kind, Kind::NotLeader | Kind::BadTransferee) => {
                Ok(Some(fault.text))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Opens a connection to a member that can serve a change and is not the one that goes. The leader comes first: it saves a hop.
    ///
    /// # Errors
    /// When there is none.
    pub async fn to_peer(
        &mut self,
        reading: &Reading,
        not: MemberId,
    ) -> Result<Connection, Unreadable> {
        let leader = reading.leader().map(|(id, _)| id);
        let serves = |member: &&Member| member.id != not && member.is_voter();
        let mut peers: Vec<&Member> = reading.members.iter().filter(serves).collect();
        peers.sort_by_key(|member| Some(member.id) != leader);
        let peer = peers.iter().find_map(|member| {
            reading.answers.get(&member.id).filter(|answer| answer.linearizable)
        });
        let none = || {
            Unreadable::NoPeer(reading.member(not).map_or_else(|| not.to_string(), Member::label))
        };
        self.connection(&peer.ok_or_else(none)?.url).await.map_err(|_| none())
    }

    /// Probes each of several things that have one or more URLs: the first URL that answers speaks for it.
    async fn probe_all(&mut self, wanted: Vec<(String, Vec<String>)>) -> BTreeMap<String, Answer> {
        let mut tasks = JoinSet::new();
        let mut seen = BTreeMap::new();
        for (key, urls) in wanted {
            let mut ways = vec![];
            for url in urls {
                match self.connection(&url).await {
                    Ok(connection) => ways.push(connection),
                    Err(fault) => drop(seen.insert(
                        key.clone(),
                        Answer { url, fault: Some(fault), ..Answer::default() },
                    )),
                }
            }
            tasks.spawn(async move {
                let mut last = None;
                for way in ways {
                    let answer = probe(&way).await;
                    let done = answer.status.is_some();
                    last = Some(answer);
                    if done {
                        break;
                    }
                }
                (key, last)
            });
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((key, Some(answer))) = done {
                seen.insert(key, answer);
            }
        }
        seen
    }

    /// One member is enough: etcd answers this through its log.
    async fn add_alarms(&mut self, reading: &mut Reading) {
        for url in linearizable_urls(reading) {
            let alarms = async { self.connection(&url).await?.alarms_when_led().await };
            if let Ok(alarms) = Box::pin(alarms).await {
                reading.alarms = Some(alarms);
                return;
            }
        }
    }

    /// Hashes are asked for one member after the other, for each walks all keys; and again when a compaction came between.
    async fn add_hashes(&mut self, reading: &mut Reading) {
        for _ in 0..3 {
            let revisions = reading
                .answers
                .values()
                .filter_map(|answer| answer.status.as_ref())
                .map(|status| status.revision);
            let Some(revision) = revisions.min() else { return };
            reading.hashed_at = Some(revision);
            let asked: Vec<(MemberId, String, u64)> = reading
                .answers
                .iter()
                .filter_map(|(id, a)| Some((*id, a.url.clone(), size(a.status.as_ref()?))))
                .collect();
            for (id, url, bytes) in asked {
                // a rule of thumb of a slow disk, with the same floor as other calls
                let deadline = self.access.per_call.max(Duration::from_secs(bytes / 10_000_000));
                let hash = async { self.connection(&url).await?.hash_kv(revision, deadline).await };
                let hash = Box::pin(hash).await.ok();
                reading.answers.entry(id).and_modify(|answer| answer.hash = hash);
            }
            let mut compacted = reading
                .answers
                .values()
                .filter_map(|answer| answer.hash)
                .map(|hash| hash.compact_revision);
            let first = compacted.next();
            if compacted.all(|revision| Some(revision) == first) {
                return;
            }
        }
    }
}

fn size(status: &Status) -> u64 {
    u64::try_from(status.db_size).unwrap_or_default()
}

fn linearizable_urls(reading: &Reading) -> Vec<String> {
    reading
        .answers
        .values()
        .filter(|answer| answer.linearizable)
        .map(|answer| answer.url.clone())
        .collect()
}

/// Everything one endpoint tells in one visit.
async fn probe(connection: &Connection) -> Answer {
    let mut answer = Answer { url: connection.url().to_owned(), ..Answer::default() };
    let status = match connection.status().await {
        // a connection that an earlier reading left open may have died with a restart: that is no news of today
        Err(fault) if fault.kind == Kind::Unreachable => connection.status().await,
        first => first,
    };
    let status = match status {
        Ok(status) => status,
        Err(fault) => {
            return Answer { fault: Some(Box::pin(connection.explain(fault)).await), ..answer };
        }
    };
    let (leaderless, learner) = (status.leader == MemberId(0), status.learner);
    answer.status = Some(status);
    // a learner refuses both reads, and without a leader the first would only wait for its deadline
    if learner {
        return answer;
    }
    if !leaderless {
        let begun = Instant::now();
        match connection.linearizable_get().await {
            Ok(_) => answer.linearizable = true,
            Err(fault) => answer.fault = Some(fault),
        }
        answer.latency_ms =
            u64::try_from(begun.elapsed().as_millis()).ok().filter(|_| answer.linearizable);
    }
    match connection.local_members().await {
        Ok(list) => answer.list = Some(list),
        Err(fault) => answer.fault = answer.fault.or(Some(fault)),
    }
    answer
}

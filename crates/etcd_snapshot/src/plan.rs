//! The decision.

use std::collections::BTreeMap;
use std::time::Duration;

use ansible_module::{Kind, Limit, Refusal};
use etcd_cluster::evidence::MAX_LAG;
use etcd_cluster::reading::{AlarmKind, Reading};
use etcd_cluster::{Doubt, Evidence, Member, MemberId};

use crate::args::{Goal, Present, Wanted};
use crate::name;
use crate::refuse::Unsafe;
use crate::state::{Checked, File, Observed, Step, Validity};

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    match &wanted.goal {
        Goal::Verified(_) => verified(observed).map(|()| vec![]),
        Goal::Present(present) => self::present(present, observed),
        Goal::Listed(..) => Ok(vec![]),
        Goal::Pruned(_, keep) => Ok(pruned(*keep, observed)),
    }
}

/// Of each cluster the oldest beyond the number, the oldest first; what is not known to be whole is not counted.
fn pruned(keep: usize, observed: &Observed) -> Vec<Step> {
    let mut seen: BTreeMap<MemberId, usize> = BTreeMap::new();
    let mut deletes = vec![];
    for file in observed.newest_first().into_iter().filter(|file| file.is_valid()) {
        let Some((cluster, _)) = name::read(&file.name) else { continue };
        let count = seen.entry(cluster).or_default();
        *count += 1;
        if *count > keep {
            deletes.push(Step::Delete(file.name.clone()));
        }
    }
    deletes.reverse();
    deletes
}

fn verified(observed: &Observed) -> Result<(), Refusal> {
    let checked = observed.checked.clone().unwrap_or_default();
    match checked.file {
        Some(File { validity: Validity::Valid, .. }) => Ok(()),
        Some(File { validity: Validity::Invalid(why), .. }) => {
            Err(Unsafe::Invalid { path: checked.path, why }.into())
        }
        _ => Err(Unsafe::Missing { path: checked.path }.into()),
    }
}

fn present(wanted: &Present, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let Some(cluster) = &observed.cluster else { return Err(Unsafe::NoReading.into()) };
    let mut steps = vec![];
    if !observed.remains.is_empty() {
        steps.push(Step::Clean);
    }
    let newest = newest(wanted, observed);
    if newest.is_none() {
        let member = choose(wanted, cluster)?;
        room(observed, cluster, member)?;
        steps.push(Step::Save(cluster.cluster_id));
    }
    // What stays is the one that is young enough, be it there or about to be, and the newest of the others.
    let others =
        observed.newest_first().into_iter().filter(|file| file.is_valid() && Some(*file) != newest);
    let old = others.skip(wanted.keep.map_or(usize::MAX, |keep| keep.saturating_sub(1)));
    let mut deletes: Vec<_> = old.map(|file| Step::Delete(file.name.clone())).collect();
    deletes.reverse();
    steps.extend(deletes);
    Ok(steps)
}

/// The newest valid file, if it is young enough. One that this run saved is, whatever became of the clock meanwhile.
pub fn newest<'a>(wanted: &Present, observed: &'a Observed) -> Option<&'a File> {
    let mut valid = observed.newest_first().into_iter().filter(|file| file.is_valid());
    if observed.saved {
        return valid.next();
    }
    valid.find(|file| file.taken_at <= wanted.until).filter(|file| file.taken_at >= wanted.since)
}

/// The voter to take it from: proven, of the same data as another, a follower if there is one, nearest to the leader.
///
/// The leader has enough to do; and a follower that lags gives an old snapshot, for the call is answered from what it has applied.
pub fn choose(wanted: &Present, cluster: &Reading) -> Result<MemberId, Unsafe> {
    let corrupt = cluster
        .alarms
        .iter()
        .flatten()
        .find(|alarm| alarm.kind == AlarmKind::Corrupt && alarm.member == MemberId(0));
    if corrupt.is_some() {
        return Err(Unsafe::CorruptSomewhere);
    }
    let evidence = Evidence::weigh(cluster, None);
    let proven: Vec<&Member> = cluster
        .members
        .iter()
        .filter(|member| member.is_voter() && enough(evidence.doubts(member.id)))
        .filter(|member| lag(cluster, member) < MAX_LAG)
        .collect();
    if proven.is_empty() {
        return Err(none_proven(cluster, &evidence));
    }
    let agreeing: Vec<&Member> = proven
        .iter()
        .copied()
        .filter(|member| !wanted.compare_hashes || agrees(cluster, member))
        .collect();
    if agreeing.is_empty() {
        return Err(differing(cluster, &proven));
    }
    let leader = cluster.leader().map(|(id, _)| id);
    let best = agreeing
        .into_iter()
        .min_by_key(|member| (Some(member.id) == leader, lag(cluster, member), member.id));
    best.map(|member| member.id).ok_or(Unsafe::NoReading)
}

/// How far behind the furthest member: the leader may be the one that does not answer.
fn lag(cluster: &Reading, member: &Member) -> u64 {
    let all = cluster.answers.values().filter_map(|answer| answer.status.as_ref());
    let head = all.map(|status| status.raft_index).max().unwrap_or_default();
    cluster.status(member.id).map_or(u64::MAX, |status| head.saturating_sub(status.applied_index))
}

/// A full disk or quota stops writes, and no reads: the time for a snapshot is right then.
fn enough(doubts: &[Doubt]) -> bool {
    doubts.iter().all(|doubt| *doubt == Doubt::Alarm(AlarmKind::NoSpace))
}

/// Hashes to the same as another voter at one revision. Where there is no other voter there is nothing to compare.
fn agrees(cluster: &Reading, member: &Member) -> bool {
    let hash = |member: &Member| cluster.answers.get(&member.id).and_then(|answer| answer.hash);
    let mut others =
        cluster.members.iter().filter(|other| other.is_voter() && other.id != member.id).peekable();
    others.peek().is_none()
        || hash(member).is_some_and(|mine| others.any(|other| hash(other) == Some(mine)))
}

fn none_proven(cluster: &Reading, evidence: &Evidence) -> Unsafe {
    let line = |member: &Member| {
        let mut doubts = evidence.doubts(member.id).to_vec();
        if doubts.is_empty() {
            doubts.push(Doubt::Lagging(lag(cluster, member)));
        }
        let doubts: Vec<_> = doubts.iter().map(ToString::to_string).collect();
        format!("{} {}", member.label(), doubts.join(", "))
    };
    let passing = cluster.members.iter().any(|member| {
        let doubts = evidence.doubts(member.id);
        member.is_voter() && doubts.iter().all(Doubt::may_pass)
    });
    Unsafe::NoProvenMember { members: cluster.members.iter().map(line).collect(), passing }
}

fn differing(cluster: &Reading, proven: &[&Member]) -> Unsafe {
    let hash = |member: &&Member| cluster.answers.get(&member.id).and_then(|answer| answer.hash);
    let line = |member: &&Member| {
        let text = hash(member).map_or("no hash".to_owned(), |hash| format!("{:08x}", hash.hash));
        format!("{} {text}", member.label())
    };
    let known = cluster
        .members
        .iter()
        .filter(|member| member.is_voter())
        .filter(|member| hash(member).is_some())
        .count();
    let revision = cluster.hashed_at.unwrap_or_default();
    // Fewer than two hashes: a member was slow or compacted in between.
    Unsafe::HashesDiffer {
        revision,
        members: proven.iter().map(line).collect(),
        passing: known < 2,
    }
}

/// A tenth and 16 MiB more than the database has now: it grows while it is copied.
fn room(observed: &Observed, cluster: &Reading, member: MemberId) -> Result<(), Unsafe> {
    let size = cluster
        .status(member)
        .and_then(|status| u64::try_from(status.db_size).ok())
        .unwrap_or_default();
    let needed = size + size / 10 + (16 << 20);
    match observed.free {
        Some(free) if free < needed => {
            Err(Unsafe::NoRoom { dest: observed.dest.clone(), free, needed })
        }
        _ => Ok(()),
    }
}

/// What kind of thing a step does.
pub fn kind(_: &Step) -> Kind {
    Kind::Change
}

/// How long a step may take.
pub fn limit(wanted: &Wanted, step: &Step) -> Limit {
    match step {
        Step::Save(_) => Limit::fail(wanted.timeout),
        Step::Clean | Step::Delete(_) => Limit::fail(Duration::from_secs(30)),
    }
}

/// What the user should know and is no reason to stop.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let Observed { dest, files, .. } = observed;
    let mut warnings = vec![];
    for file in files {
        if let Validity::Invalid(why) = &file.validity {
            warnings.push(format!(
                "{dest}/{} is no valid snapshot: {why}; it is not counted and not deleted",
                file.name
            ));
        }
    }
    if observed.exposed {
        warnings.push(format!("{dest} is writable for others than its owner: they could replace a snapshot; use a directory of mode 0700"));
    }
    let Goal::Present(present) = &wanted.goal else { return warnings };
    if let Some(file) = files.iter().find(|file| file.is_valid() && file.taken_at > present.until) {
        warnings.push(format!(
            "{dest}/{} says that it was taken in the future: it does not count as young",
            file.name
        ));
    }
    if let Some(cluster) = &observed.cluster
        && newest(present, observed).is_none()
        && let Ok(member) = choose(present, cluster)
        && cluster.members.iter().filter(|member| member.is_voter()).count() > 1
        && cluster.leader().is_some_and(|(leader, _)| leader == member)
    {
        warnings.push("no follower is proven: the snapshot is taken from the leader".to_owned());
    }
    warnings
}

impl Checked {
    /// The outcome for one file.
    pub fn new(path: String, file: Option<File>) -> Self {
        Self { path, file }
    }
}

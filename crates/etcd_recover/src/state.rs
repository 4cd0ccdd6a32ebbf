//! What is observed, what a step does to it, and what is shown of it.

use ansible_module::{Kind, Returns};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What one host holds of the cluster.
#[expect(clippy::struct_excessive_bools, reason = "each was seen by itself")]
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
pub struct Survey {
    /// Name of the member.
    pub name: String,
    /// Its id, hexadecimal; empty where there is no data.
    #[serde(default)]
    pub member_id: String,
    /// Id of its cluster, hexadecimal; empty where there is no data.
    #[serde(default)]
    pub cluster_id: String,
    /// There is a log.
    #[serde(default)]
    pub has_data: bool,
    /// The newest term that its log knows of (C(HardState)).
    #[serde(default)]
    pub term: u64,
    /// Up to which entry it knows that a quorum agreed (C(HardState)). etcd writes this late.
    #[serde(default)]
    pub commit: u64,
    /// Term of the last entry of its log.
    #[serde(default)]
    pub last_term: u64,
    /// Index of the last entry of its log.
    #[serde(default)]
    pub last_index: u64,
    /// Ids of the voters, as far as its log tells them.
    #[serde(default)]
    pub voters: Vec<String>,
    /// Why its log cannot be read to its end, where it cannot. A record that was only half written when the host went down is none: etcd repairs it.
    #[serde(default)]
    pub damage: Option<String>,
    /// Its data is in use by a process.
    #[serde(default)]
    pub running: bool,
    /// Something on its host would start it: a static manifest, an enabled or active unit.
    #[serde(default)]
    pub starts: bool,
    /// It is stopped for good: no process, nothing that would start it, and no data where it would look for it.
    #[serde(default)]
    pub fenced: bool,
}

impl Survey {
    /// The order of raft: the later last term, then the longer log; then what is known to be committed.
    pub fn place(&self) -> (u64, u64, u64) {
        (self.last_term, self.last_index, self.commit)
    }

    /// It is the only voter.
    pub fn is_alone(&self) -> bool {
        self.has_data && self.voters.len() == 1 && self.voters.first() == Some(&self.member_id)
    }
}

/// One reading of this host.
#[expect(clippy::struct_excessive_bools, reason = "each was seen by itself")]
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// What it holds.
    pub local: Survey,
    /// What the others hold, as they were surveyed.
    #[serde(default)]
    pub others: Vec<Survey>,
    /// Its data is set aside.
    #[serde(default)]
    pub aside: bool,
    /// Ids of clusters whose data on this host a restored snapshot took the place of.
    #[serde(default)]
    pub replaced: Vec<String>,
    /// The run of etcd that an earlier recovery left.
    #[serde(default)]
    pub remainder: bool,
    /// The kubelet runs it: its manifest is there, or set aside.
    #[serde(default)]
    pub by_kubelet: bool,
    /// Manifests that are set aside.
    #[serde(default)]
    pub parked: Vec<String>,
    /// Manifests that start etcd or what uses it.
    #[serde(default)]
    pub manifests: Vec<String>,
    /// The unit that was named is there and does not run.
    #[serde(default)]
    pub unit_idle: bool,
    /// The unit that was named is there.
    #[serde(default)]
    pub has_unit: bool,
    /// It answers a linearizable read: there is a quorum.
    #[serde(default)]
    pub serves: bool,
    /// Where the copy is, or will be.
    #[serde(default)]
    pub backup: String,
    /// The copy is whole.
    #[serde(default)]
    pub backed_up: bool,
    /// Bytes that the copy needs.
    #[serde(default)]
    pub size: u64,
    /// Free bytes where it goes to.
    #[serde(default)]
    pub free: u64,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// What an interrupted run left running ends.
    EndRemainder,
    /// Manifests leave the kubelet's sight.
    Park(Vec<String>),
    /// The unit ends, and does not start by itself.
    StopUnit,
    /// Nobody has the data open.
    AwaitStopped,
    /// The data is not where etcd looks for it.
    SetAside,
    /// It is again.
    TakeBack,
    /// Data and certificates are copied.
    Backup(String),
    /// Every entry of the log counts.
    KeepTail(u64),
    /// The member is the only voter.
    Force(String),
    /// A snapshot takes the place of the data.
    Restore(String),
    /// The manifests are back.
    Unpark(Vec<String>),
    /// The unit runs.
    StartUnit,
    /// It answers linearizable reads.
    AwaitServing,
}

impl Step {
    /// What kind of thing it does.
    pub fn kind(&self) -> Kind {
        match self {
            Self::AwaitStopped | Self::AwaitServing => Kind::Wait,
            _ => Kind::Change,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndRemainder => f.write_str("end the etcd that an interrupted run left"),
            Self::Park(names) => write!(f, "set the manifests {} aside", names.join(", ")),
            Self::StopUnit => f.write_str("stop and disable the unit of etcd"),
            Self::AwaitStopped => f.write_str("wait until nobody has the data open"),
            Self::SetAside => f.write_str("set the data aside as member.fenced"),
            Self::TakeBack => f.write_str("take the data back from member.fenced"),
            Self::Backup(to) => write!(f, "copy data and certificates to {to}"),
            Self::KeepTail(index) => write!(f, "keep every entry of the log up to {index}"),
            Self::Force(label) => write!(f, "make {label} the only voter"),
            Self::Restore(path) => write!(f, "restore snapshot {path} as a cluster of its own"),
            Self::Unpark(names) => write!(f, "put the manifests {} back", names.join(", ")),
            Self::StartUnit => f.write_str("enable and start the unit of etcd"),
            Self::AwaitServing => f.write_str("wait until it serves as the only voter"),
        }
    }
}

/// The state expected after a step.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut next = observed.clone();
    let local = &mut next.local;
    match step {
        Step::EndRemainder => (next.remainder, local.running) = (false, false),
        Step::Park(names) => {
            next.manifests.clear();
            next.parked.extend(names.iter().cloned());
            local.starts = next.has_unit && !next.unit_idle;
        }
        Step::StopUnit => {
            next.unit_idle = true;
            local.starts = !next.manifests.is_empty();
        }
        Step::AwaitStopped => (local.running, next.serves) = (false, false),
        Step::SetAside => next.aside = true,
        Step::TakeBack => next.aside = false,
        Step::Backup(_) => next.backed_up = true,
        Step::KeepTail(index) => local.commit = *index,
        Step::Force(_) => local.voters = vec![local.member_id.clone()],
        Step::Restore(_) => {
            // the ids are made by the restore; until then nobody knows them
            next.replaced.push(local.cluster_id.clone());
            (local.has_data, local.damage, next.aside) = (true, None, false);
            local.voters = vec![local.member_id.clone()];
        }
        Step::Unpark(names) => {
            next.parked.clear();
            next.manifests.extend(names.iter().cloned());
            (local.starts, local.running) = (true, true);
        }
        Step::StartUnit => {
            next.unit_idle = false;
            (local.starts, local.running) = (true, true);
        }
        Step::AwaitServing => next.serves = true,
    }
    let local = &mut next.local;
    local.fenced = is_fenced(local, next.aside);
    next
}

/// Stopped for good: R13 of the rules.
pub fn is_fenced(local: &Survey, aside: bool) -> bool {
    !local.running && !local.starts && (aside || !local.has_data)
}

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct View {
    /// What this host holds, to be handed to the others as O(surveys).
    pub survey: Survey,
    /// All that were surveyed, the best first.
    pub survivors: Vec<Place>,
    /// The member on this host is the only voter.
    pub recovered: bool,
    /// Where the copy of data and certificates is.
    pub backup: Option<String>,
    /// What is left to be done, in sentences.
    pub next: Vec<String>,
}

/// One survivor among all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct Place {
    /// Name of the member.
    pub name: String,
    /// Its id, hexadecimal.
    pub member_id: String,
    /// Id of its cluster, hexadecimal.
    pub cluster_id: String,
    /// The newest term that its log knows of.
    pub term: u64,
    /// Up to which entry it knows that a quorum agreed.
    pub commit: u64,
    /// Term of the last entry of its log.
    pub last_term: u64,
    /// Index of the last entry of its log.
    pub last_index: u64,
    /// Nobody holds more.
    pub best: bool,
    /// It is stopped for good.
    pub fenced: bool,
    /// Why its log cannot be read to its end.
    pub damage: Option<String>,
}

/// Orders survivors: the best first, those without data or with a damaged log last.
pub fn rank(local: &Survey, others: &[Survey]) -> Vec<Place> {
    let mut all: Vec<&Survey> = std::iter::once(local).chain(others).collect();
    let whole = |survey: &Survey| survey.has_data && survey.damage.is_none();
    all.sort_by_key(|survey| {
        (std::cmp::Reverse((whole(survey), survey.place())), survey.name.clone())
    });
    let best = all.first().filter(|survey| whole(survey)).map(|survey| survey.place());
    let place = |survey: &&Survey| Place {
        name: survey.name.clone(),
        member_id: survey.member_id.clone(),
        cluster_id: survey.cluster_id.clone(),
        term: survey.term,
        commit: survey.commit,
        last_term: survey.last_term,
        last_index: survey.last_index,
        best: whole(survey) && Some(survey.place()) == best,
        fenced: survey.fenced,
        damage: survey.damage.clone(),
    };
    all.iter().map(place).collect()
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let local = &observed.local;
    let recovered = local.is_alone();
    View {
        survey: local.clone(),
        survivors: rank(local, &observed.others),
        recovered,
        backup: observed.backed_up.then(|| observed.backup.clone()),
        next: if recovered { rejoin(observed) } else { vec![] },
    }
}

/// How the others come back.
fn rejoin(observed: &Observed) -> Vec<String> {
    let start = if observed.by_kubelet || observed.has_unit {
        None
    } else {
        Some("start etcd on this host as it always was, without --force-new-cluster".to_owned())
    };
    let join = if observed.by_kubelet {
        "join them again one after the other (kubeadm reset --skip-phases=remove-etcd-member, then quorate.controlplane.kubeadm_join)"
    } else {
        "join them again one after the other with empty data: etcdctl member add <name> --learner --peer-urls=<url>, start etcd with --initial-cluster-state existing, promote it"
    };
    let always = [
        "take a snapshot (quorate.controlplane.etcd_snapshot)".to_owned(),
        "never start another old member on its old data: two of them hold the old quorum and would be a second cluster".to_owned(),
        join.to_owned(),
        format!("when three voters are healthy again, delete member.fenced on the others and {} here", observed.backup),
    ];
    start.into_iter().chain(always).collect()
}

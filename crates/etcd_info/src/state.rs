//! What is observed.

use crate::{
    args::{Question, Wanted},
    local::Local,
    view::ViewGate,
};
use ansible_module::Returns;
use etcd_cluster::{
    Evidence, Facts, MemberId, Reading, Unsafe,
    fault::Fault,
    gate::{Order, decide, phrase},
    keys::KeyCount,
    metrics::Metrics,
    reading::Status,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::SystemTime};

/// One reading, and what was made of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster.
    pub reading: Reading,
    /// What is missing, member by member.
    #[serde(default)]
    pub evidence: Evidence,
    /// What the gate said, where it was asked.
    #[serde(default)]
    pub gate: Option<ViewGate>,
    /// Seconds since 1970 when it was taken.
    #[serde(default)]
    pub taken_at: u64,
    /// Everything that is read beside it.
    #[serde(default)]
    pub beside: Beside,
}

/// What is read beside the members' evidence, all of it optional.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Beside {
    /// Why there is no reading at all.
    pub unread: Option<String>,
    /// What the endpoints given answered, by their URLs.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// The second sample of what members say of themselves.
    pub second: BTreeMap<MemberId, Status>,
    /// Milliseconds from before the first sample to after the second.
    pub between_ms: u64,
    /// Metrics of the members whose endpoints gave them.
    pub metrics: BTreeMap<MemberId, Metrics>,
    /// The Nodes, where a kubeconfig was given.
    pub nodes: Option<Vec<Node>>,
    /// Numbers of keys, where they were asked for.
    pub keys: Option<Vec<KeyCount>>,
    /// What this host shows of its own member, where that mattered.
    pub local: Option<Local>,
    /// Certificates that members showed, and the one that they were shown.
    pub certificates: Vec<Certificate>,
    /// What was asked for and could not be read.
    pub missing: Vec<String>,
}

/// What one endpoint given answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Who answers there.
    pub member: Option<MemberId>,
    /// Whose member that is.
    pub cluster: Option<MemberId>,
    /// Why nobody does.
    pub fault: Option<Fault>,
}

/// A certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Certificate {
    /// Id of the member that showed it, hexadecimal; none for the client certificate that was used.
    pub member_id: Option<String>,
    /// URL where it was shown: a client URL or a peer URL.
    pub url: Option<String>,
    /// The common name of its subject; empty where it has none.
    pub subject: String,
    /// Its end, as in C(2027-11-21T08:00:00Z).
    pub not_after: String,
    /// Whole days until then; below zero when it is over.
    pub days_left: i64,
    /// Whole days from its beginning to its end.
    pub lifetime_days: i64,
}

/// A Node, as far as it is compared with the members.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The name of the member on it: k3s notes it, kubeadm takes the Node's own.
    pub member: String,
    /// Whether a member belongs on it.
    pub control_plane: bool,
}

impl Observed {
    /// Weighs a reading and asks the gate.
    pub fn of(wanted: &Wanted, reading: Reading, beside: Beside, now: SystemTime) -> Self {
        let evidence = Evidence::weigh(&reading, wanted.kubernetes.as_ref());
        let gate = wanted.question.as_ref().map(|question| ask(question, &reading, &evidence));
        let taken_at = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        Self { reading, evidence, gate, taken_at, beside }
    }
}

impl Observed {
    /// How far a member's log is behind the leader's, in the samples that there are.
    pub fn lags(&self, id: MemberId) -> Vec<u64> {
        let leader = self.reading.leader().map(|(leader, _)| leader);
        let lag = |of: &dyn Fn(MemberId) -> Option<Status>| {
            let own = of(id)?;
            let ahead = leader.and_then(of).map_or(own.raft_index, |l| l.raft_index);
            Some(ahead.max(own.raft_index).saturating_sub(own.applied_index))
        };
        let first = lag(&|id| self.reading.status(id).cloned());
        let second = lag(&|id| self.beside.second.get(&id).cloned());
        first.into_iter().chain(second).collect()
    }

    /// Names of members that no Node belongs to. Where no member has a Node, etcd runs outside of Kubernetes.
    pub fn members_without_node(&self) -> Vec<String> {
        let nodes = self.beside.nodes.iter().flatten();
        let names: Vec<&String> = nodes.map(|node| &node.member).collect();
        let started = || self.reading.members.iter().filter(|member| !member.is_nameless());
        let without = started().filter(|member| !names.contains(&&member.name));
        let without: Vec<String> = without.map(|member| member.name.clone()).collect();
        if without.len() == started().count() { vec![] } else { without }
    }

    /// Names of control-plane Nodes that no member belongs to, with the same exception.
    pub fn nodes_without_member(&self) -> Vec<String> {
        let listed = |node: &&Node| self.reading.members.iter().any(|m| m.name == node.member);
        let nodes = || self.beside.nodes.iter().flatten().filter(|node| node.control_plane);
        if !nodes().any(|node| listed(&node)) {
            return vec![];
        }
        nodes().filter(|node| !listed(node)).map(|node| node.name.clone()).collect()
    }
}

fn ask(question: &Question, reading: &Reading, evidence: &Evidence) -> ViewGate {
    let no = |code: &str, text: String| ViewGate {
        safe: false,
        code: Some(code.to_owned()),
        text: Some(text),
        order: None,
        path: vec![],
        exception: None,
    };
    let operation = match question.about(&reading.members) {
        Ok(Some(operation)) => operation,
        Ok(None) => {
            let word = question.word.clone().unwrap_or_default();
            let unknown = Unsafe::UnknownMember { member: format!("{word:?}") };
            return no(unknown.code(), unknown.to_string());
        }
        Err(mismatch) => return no(mismatch.code(), mismatch.to_string()),
    };
    let facts = Facts::new(reading, evidence);
    match decide(&facts, operation, question.permit) {
        Err(reason) => no(reason.code(), reason.to_string()),
        Ok(verdict) => ViewGate {
            safe: true,
            code: None,
            text: None,
            order: verdict.order.map(|order| match order {
                Order::StopFirst => "stop_first".to_owned(),
                Order::RemoveFirst => "remove_first".to_owned(),
            }),
            path: verdict.path.iter().map(|step| phrase(&facts, *step)).collect(),
            exception: verdict.exception.map(|reason| reason.to_string()),
        },
    }
}

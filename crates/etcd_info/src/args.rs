//! What a user may write, and what it means.

use ansible_module::{BadArgs, Options, Seconds, options::groups::EtcdOptions};
use etcd_cluster::{
    MemberId, Mismatch, Operation, Target,
    evidence::{Kubernetes, NodeHealth},
    gate::Permit,
    member::Member,
};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Reads an etcd cluster: members, evidence of their health, leader, alarms, and what the gate would say.
///
/// All members are asked in parallel, each at its own client URL. A member is C(proven) when every point of evidence was seen in its favour;
/// RV(members) names each point that is missing. What could not be seen counts as missing.
///
/// RV(verdict) and RV(causes) say what is wrong, on what evidence, and which module or playbook is the way out. Where no quorum answers, what this
/// host itself shows of its member is read as well: its unit, etcd's own word on its health, its data.
///
/// O(if) asks whether an operation would be safe, over its whole path and in the worst case, without doing anything.
#[derive(Options, Debug)]
pub struct Args {
    /// How to reach etcd.
    #[option(include)]
    pub etcd: EtcdOptions,
    /// Compares the hash of all keys on every member at one revision. Each member walks all its keys, one member after the other.
    #[option(alias = "hash", default = "false")]
    pub hashkv: bool,
    /// Reads each member's metrics too: how slow its disk is, its quota before etcd 3.6, and its clock.
    #[option(default = "true")]
    pub metrics: bool,
    /// Prefixes below which keys are counted, in all and by the next part of their names, such as C(/registry/). No key is loaded.
    pub count_keys: Vec<String>,
    /// Kubeconfig of the cluster. When given, members without a Node and control-plane Nodes without a member are told.
    pub kubeconfig: Option<PathBuf>,
    /// An operation to ask the gate about.
    pub r#if: Option<Hypothesis>,
    /// Names of the Nodes whose kubelet lease is fresh and whose control-plane components are ready. When given, a member without one of them is not proven.
    pub healthy_nodes: Option<Vec<String>>,
    /// How long the whole may take.
    #[option(default = "60")]
    pub timeout: Seconds,
}

/// An operation to ask the gate about. A member is named by its name, its id or its peer address.
#[derive(Options, Debug)]
#[options(
    required_one_of = "remove|stop|start|restart|defragment|promote|add",
    mutually_exclusive = "remove|stop|start|restart|defragment|promote|add"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own to users")]
pub struct Hypothesis {
    /// Removes this member.
    pub remove: Option<String>,
    /// Stops this member for good.
    pub stop: Option<String>,
    /// Starts this member.
    pub start: Option<String>,
    /// Restarts this member and waits for it.
    pub restart: Option<String>,
    /// Defragments this member.
    pub defragment: Option<String>,
    /// Promotes this learner.
    pub promote: Option<String>,
    /// Adds a member, which then becomes a voter.
    pub add: Option<bool>,
    /// The member to be removed still runs, and is to be stopped on the way; the verdict says whether before or after the removal.
    #[option(default = "true")]
    pub target_runs: bool,
    /// A fresh member joins in place of the one removed.
    #[option(default = "false")]
    pub then_rejoin: bool,
    /// Allows to go from two voters to one.
    #[option(default = "false")]
    pub allow_single_member: bool,
    /// Allows to restart one of one or two voters, which stops every write meanwhile.
    #[option(default = "false")]
    pub allow_downtime: bool,
}

/// The arguments after validation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where to ask.
    pub endpoints: Vec<String>,
    /// Authority, certificate and key.
    pub files: [Option<PathBuf>; 3],
    /// Whether to hash.
    pub hashkv: bool,
    /// Whether to read metrics.
    pub metrics: bool,
    /// What to count.
    pub count_keys: Vec<String>,
    /// Where to look for Nodes.
    pub kubeconfig: Option<PathBuf>,
    /// What to ask the gate.
    pub question: Option<Question>,
    /// Evidence that only Kubernetes has.
    pub kubernetes: Option<Kubernetes>,
    /// For the whole run.
    pub timeout: Duration,
    /// When the reading was taken.
    pub started: SystemTime,
}

/// A question to the gate, about a member that is still to be found.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is done, with a placeholder for the member.
    pub operation: Operation,
    /// Which member; none for an addition.
    pub word: Option<String>,
    /// What the user would allow.
    pub permit: Permit,
}

impl Question {
    /// Fills in the member that is meant; `None` when nobody fits.
    ///
    /// # Errors
    /// When several fit.
    pub fn about(&self, list: &[Member]) -> Result<Option<Operation>, Mismatch> {
        let Some(word) = &self.word else { return Ok(Some(self.operation)) };
        let Some(id) = Target::find_word(word, list)?.map(|member| member.id) else {
            return Ok(None);
        };
        Ok(Some(match self.operation {
            Operation::Remove { runs, then_rejoin, .. } => {
                Operation::Remove { target: id, runs, then_rejoin }
            }
            Operation::Stop(_) => Operation::Stop(id),
            Operation::Start(_) => Operation::Start(id),
            Operation::Restart(_) => Operation::Restart(id),
            Operation::Defragment(_) => Operation::Defragment(id),
            Operation::Promote(_) => Operation::Promote(id),
            Operation::Add => Operation::Add,
        }))
    }
}

/// Validates.
pub fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
    let (endpoints, files) = args.etcd.checked()?;
    let healthy = NodeHealth { lease_fresh: true, components_ready: true };
    let nodes = args.healthy_nodes;
    Ok(Wanted {
        endpoints,
        files,
        hashkv: args.hashkv,
        metrics: args.metrics,
        count_keys: args.count_keys,
        kubeconfig: args.kubeconfig,
        question: args.r#if.map(question),
        kubernetes: nodes.map(|names| names.into_iter().map(|name| (name, healthy)).collect()),
        timeout: args.timeout.0,
        started,
    })
}

fn question(asked: Hypothesis) -> Question {
    let (runs, then_rejoin, none) = (asked.target_runs, asked.then_rejoin, MemberId(0));
    let remove = Operation::Remove { target: none, runs, then_rejoin };
    let each = [
        (asked.remove, remove),
        (asked.stop, Operation::Stop(none)),
        (asked.start, Operation::Start(none)),
        (asked.restart, Operation::Restart(none)),
        (asked.defragment, Operation::Defragment(none)),
        (asked.promote, Operation::Promote(none)),
    ];
    let given = each.into_iter().find_map(|(word, operation)| Some((word?, operation)));
    let (word, operation) =
        given.map_or((None, Operation::Add), |(word, operation)| (Some(word), operation));
    let permit =
        Permit { single_member: asked.allow_single_member, downtime: asked.allow_downtime };
    Question { operation, word, permit }
}

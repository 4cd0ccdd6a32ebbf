//! What a user may write, and what it means.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use ansible_module::{BadArgs, Json, Options, Seconds, options::groups::KubeOptions};
use kube_cluster::{Access, Claim, Holder, LockName};
use serde_json::Map;
use std::{collections::BTreeMap, time::Duration};

/// Holds the lock of a control-plane operation, and the operation's record.
///
/// Two operations on the control plane never overlap: the lock is one Lease in the cluster, and the modules that change something renew it right
/// before each change. A run that was paused for longer than O(duration) is refused at its next change.
///
/// An operation that was killed is resumed by running the same again: its lock is taken over at once where its process is known to have ended, and
/// otherwise once it has not been renewed for as long as it holds. Another operation is refused until that one is finished or abandoned.
///
/// C(kubectl get lease -n kube-system quorate-control-plane -o yaml) shows everything there is to know.
#[derive(Options, Debug)]
#[options(required_if = "state=held:operation", required_if = "state=held:target")]
pub struct Args {
    /// What the lock shall be.
    #[option(default = "held")]
    pub state: State,
    /// What is to be done, as V(replace).
    pub operation: Option<String>,
    /// What it is to be done to: the Node's name.
    #[option(alias = "node")]
    pub target: Option<String>,
    /// Who this run is, as C(host/boot-id/pid/start-time/run-id) of the process that runs the whole operation.
    ///
    /// The collection fills it in with the run of C(ansible-playbook) that the task belongs to.
    pub holder: String,
    /// Facts that are needed to resume the operation, each a name and a text, as V(old_member_id), V(old_node_uid) and V(condemned_volid).
    ///
    /// They are added to those that are there. A fact that is there with another text is replaced.
    pub record: Map<String, Json>,
    /// How long this run may go without renewing the lock. Longer than the longest task that does not renew it.
    #[option(default = "15m")]
    pub duration: Seconds,
    /// How long to wait for a lock that another run holds, for it to be released or to expire.
    ///
    /// Whether it has expired is judged by this host's own clock, from when the task first sees it.
    #[option(default = "0")]
    pub wait: Seconds,
    /// With O(state=released), gives up the operation of another run, once that run has ended or its lock has expired.
    ///
    /// What the operation began stays as it is.
    #[option(default = "no")]
    pub abandon: bool,
    /// What runs on the controller, to tell whether an earlier run of the same controller has ended.
    ///
    /// The collection fills it in. Where the task runs on the controller itself it is not needed.
    pub controller: Option<Controller>,
    /// Namespace of the Lease.
    #[option(default = "kube-system")]
    pub namespace: String,
    /// Name of the Lease.
    #[option(default = "quorate-control-plane")]
    pub name: String,
    /// How to reach the cluster.
    #[option(include)]
    pub cluster: KubeOptions,
}

/// What the lock can be.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// This run holds the lock for O(operation) of O(target), and the facts of O(record) are recorded.
    Held,
    /// The facts of O(record) are recorded. The lock has to be this run's own already.
    Recorded,
    /// Nobody holds the lock, and the record is closed.
    Released,
}

/// What runs on the controller.
#[derive(Options, Debug)]
pub struct Controller {
    /// The namespace that the process ids are of, as C(readlink /proc/self/ns/pid) has it.
    pub pid_namespace: String,
    /// Every process, as C(pid/start-time).
    pub processes: Vec<String>,
}

/// The arguments after validation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// How to reach the cluster.
    pub access: Access,
    /// Which Lease.
    pub lock: LockName,
    /// What the lock shall be.
    pub goal: Goal,
    /// Who this run is.
    pub holder: Holder,
    /// Facts to be recorded.
    pub record: BTreeMap<String, String>,
    /// For another run's lock.
    pub wait: Duration,
    /// The namespace and the processes of the controller, by start time and id.
    pub controller: Option<(String, Vec<(u64, u32)>)>,
}

/// What the lock shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Goal {
    /// This run's, for this.
    Held(Claim),
    /// This run's, as it is.
    Recorded,
    /// Nobody's.
    Released {
        /// Also where it is another run's, which has ended.
        abandon: bool,
        /// Of this operation only.
        target: Option<String>,
    },
}

/// Validates.
pub fn wanted(args: Args) -> Result<Wanted, BadArgs> {
    let holder = Holder::new(args.holder.trim());
    if holder.as_str().is_empty() {
        return Err(BadArgs::new("holder is empty; it names the run that holds the lock"));
    }
    if args.duration.0 < Duration::from_secs(1) {
        return Err(BadArgs::new(
            "duration is less than a second, in which no step can be carried out",
        ));
    }
    if args.abandon && args.state != State::Released {
        return Err(BadArgs::new(
            "abandon gives up an operation, and goes with state=released only",
        ));
    }
    let goal = match (args.state, args.operation, args.target) {
        (State::Held, Some(operation), Some(target)) => {
            let (holder, duration) = (holder.clone(), args.duration.0);
            Goal::Held(Claim { holder, operation, target, duration })
        }
        (State::Held, ..) => {
            return Err(BadArgs::new("state is held but operation or target is missing"));
        }
        (State::Recorded, ..) => Goal::Recorded,
        (State::Released, _, target) => Goal::Released { abandon: args.abandon, target },
    };
    let controller = args.controller.map(processes).transpose()?;
    Ok(Wanted {
        access: Access {
            kubeconfig: args.cluster.kubeconfig,
            context: args.cluster.context,
            server: args.cluster.server,
        },
        lock: LockName { namespace: args.namespace, name: args.name },
        goal,
        holder,
        record: record(&args.record)?,
        wait: args.wait.0,
        controller,
    })
}

/// Names must be possible in an annotation.
fn record(given: &Map<String, Json>) -> Result<BTreeMap<String, String>, BadArgs> {
    let fits = |name: &str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        let ends =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
        name.len() <= 63
            && name.chars().all(plain)
            && ends(name.chars().next())
            && ends(name.chars().last())
    };
    let fact = |(name, value): (&String, &Json)| {
        if !fits(name) {
            return Err(BadArgs::new(format!(
                "record names a fact {name:?}; letters, digits, and _ - . between them are possible, 63 at most"
            )));
        }
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Bool(_) | Json::Number(_) => value.to_string(),
            _ => return Err(BadArgs::new(format!("record: the fact {name:?} is no text"))),
        };
        Ok((name.clone(), text))
    };
    given.iter().filter(|(_, value)| !value.is_null()).map(fact).collect()
}

fn processes(controller: Controller) -> Result<(String, Vec<(u64, u32)>), BadArgs> {
    let process = |text: &String| {
        let read = text
            .split_once('/')
            .and_then(|(pid, start)| Some((start.parse().ok()?, pid.parse().ok()?)));
        read.ok_or_else(|| {
            BadArgs::new(format!("controller: {text:?} is no process; expected pid/start-time"))
        })
    };
    let all = controller.processes.iter().map(process).collect::<Result<_, _>>()?;
    Ok((controller.pid_namespace, all))
}

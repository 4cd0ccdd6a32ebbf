//! Joins this host to a kubeadm cluster as a control-plane node.
//!
//! For a host that is not a member yet, or whose join did not finish. Not for the first control plane of a cluster, and not for
//! clusters with an external etcd.
//!
//! The invariant: no kubelet ever meets an emptied data directory of etcd, and no data is emptied whose member is listed. A static manifest of an
//! init or upgraded node says `--initial-cluster=<itself>`; started on an empty directory it founds a cluster of its own with the same CA
//! (kubernetes-sigs/kubespray#13261). `docs/safety/kubeadm_join.md` argues step by step.
//!
//! The steps: clear an unfinished join (stop the kubelet, move the manifests away, `kubeadm reset` without the member, wipe), configure, start,
//! then wait for voter, Node, apiserver and the end of kubeadm. kubeadm itself runs as a transient unit: whatever becomes of this
//! program, the next run finds it.
//!
//! What can go wrong: kubeadm says why in its last lines, which [`cause`] turns into a refusal with a way out.

pub mod args;
pub mod cause;
mod live;
pub mod plan;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use plan::Step;
use state::{Config, Membership, NodeSeen, Observed, Readiness, View};
use std::time::{Duration, SystemTime};

/// The unit that runs `kubeadm join`.
pub const JOIN_UNIT: &str = "quorate-kubeadm-join.service";
/// The unit that runs `kubeadm reset`.
pub const RESET_UNIT: &str = "quorate-kubeadm-reset.service";

pub use live::KubeadmJoin;

impl Module for KubeadmJoin {
    const NAME: &'static str = "kubeadm_join";
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, _: SystemTime) -> Result<Wanted, BadArgs> {
        Wanted::new(args)
    }

    fn plan(wanted: &Wanted, seen: &Observed) -> Result<Vec<Step>, Refusal> {
        plan::plan(wanted, seen)
    }

    fn project(seen: &Observed, step: &Step) -> Observed {
        plan::project(seen, step)
    }

    fn view(seen: &Observed) -> View {
        let joined = seen.member == state::Membership::Voter;
        View {
            node: seen.host.name.clone(),
            member: seen.member,
            ready: seen.node.is_up() && seen.node.is_marked(),
            api_ready: seen.api == state::Readiness::Ready,
            remainders: seen.config != Config::Absent || (!joined && seen.left.is_any()),
        }
    }

    fn kind(step: &Step) -> Kind {
        match step {
            Step::AwaitReset
            | Step::AwaitVoter(_)
            | Step::AwaitReady(_)
            | Step::AwaitApi(_)
            | Step::AwaitEnd => Kind::Wait,
            _ => Kind::Change,
        }
    }

    fn limit(wanted: &Wanted, _: &Observed, step: &Step) -> Limit {
        // kubeadm pulls images before the member is added, and has deadlines of its own for everything after.
        let whole = matches!(step, Step::AwaitVoter(_) | Step::AwaitEnd);
        Limit::fail(if whole { wanted.timeout } else { Duration::from_mins(5) })
    }

    fn seen(_: &Wanted, seen: &Observed, step: &Step) -> Option<String> {
        match (step, seen.member, &seen.node, &seen.api) {
            (Step::AwaitVoter(_), Membership::None, ..) => Some("it is not listed yet".into()),
            (Step::AwaitVoter(_), Membership::Nameless, ..) => {
                Some("it is listed, and has not started yet".into())
            }
            (Step::AwaitVoter(_), Membership::Learner, ..) => {
                Some("it is a learner, and gets the log of the others".into())
            }
            (Step::AwaitReady(_), _, NodeSeen::Absent, _) => {
                Some("there is no such Node yet".into())
            }
            (Step::AwaitApi(_), .., Readiness::Not(why)) => Some(why.clone()),
            _ => None,
        }
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.timeout
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        Self::connect(wanted).await
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        Box::pin(self.read(wanted)).await
    }

    async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        live::assert_held(wanted).await
    }

    async fn apply(&mut self, step: &Step, seen: &Observed) -> anyhow::Result<Applied> {
        self.send(step, seen).await
    }
}

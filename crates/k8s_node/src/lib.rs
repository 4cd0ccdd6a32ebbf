//! Cordons, drains, uncordons, awaits or deletes a Kubernetes node.
//!
//! For nodes of any role, and careful with those of the control plane. Not for making nodes, and not for proving that one is powered off: that is a
//! fact the caller brings (`out_of_service`).
//!
//! The invariant: a control-plane node is drained or deleted only while another one could carry the cluster alone, a Node is deleted only by the
//! UID it was decided on and after its etcd member is gone, and no pod is
//! evicted that nothing brings back, or whose data goes with it, unless the user said so.
//!
//! Steps: cordon, evict, wait for the pods and the volumes; or declare out of service, for a node that is powered off; delete, wait for the
//! finalizers, forget the node's password. Why each keeps the invariant: `docs/safety/k8s_node.md`.

pub mod args;
pub mod live;
pub mod plan;
pub mod refuse;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use state::{Act, Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct K8sNode(live::Kubernetes);

impl Module for K8sNode {
    const NAME: &'static str = "k8s_node";
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, _started: SystemTime) -> Result<Wanted, BadArgs> {
        args::wanted(args)
    }

    fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
        plan::plan(wanted, observed)
    }

    fn project(observed: &Observed, step: &Step) -> Observed {
        state::project(observed, step)
    }

    fn view(observed: &Observed) -> View {
        state::view(observed)
    }

    fn kind(step: &Step) -> Kind {
        match step.act {
            Act::AwaitGone
            | Act::AwaitSilence
            | Act::AwaitDetached
            | Act::AwaitReady
            | Act::AwaitDeleted => Kind::Wait,
            _ => Kind::Change,
        }
    }

    fn limit(wanted: &Wanted, _: &Observed, _: &Step) -> Limit {
        // The plan refuses at `timeout`, and names what blocks; this is for an apiserver that is gone by then.
        Limit::fail(wanted.timeout + SLACK)
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.timeout + 2 * SLACK
    }

    fn seen(_: &Wanted, observed: &Observed, step: &Step) -> Option<String> {
        state::seen(observed, step)
    }

    fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
        plan::warnings(wanted, observed)
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        Ok(Self(live::Kubernetes::open(wanted).await?))
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe(wanted).await
    }

    async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        self.0.fence(wanted).await
    }

    async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        self.0.apply(step, observed).await
    }
}

/// For one call to be seen, an election in between included.
const SLACK: Duration = Duration::from_secs(30);

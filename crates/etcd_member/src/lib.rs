//! Removes a member from an etcd cluster, waits for one to become a voter, or moves leadership.
//!
//! Not for adding members (the distribution does that) and not for a cluster that has lost its quorum.
//!
//! The invariant: at every point of the operation, in the worst case, the voters that are proven alive are at least a
//! quorum of the voters listed. The steps: two samples of the evidence, leadership moved away, the removal by id through a
//! peer, the confirmation of every peer, alarms left behind disarmed. What can go wrong, and why each step keeps the
//! invariant: `docs/safety/etcd_member.md`.

pub mod args;
pub mod live;
pub mod plan;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use state::{Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct EtcdMember(live::Live);

impl Module for EtcdMember {
    const NAME: &'static str = "etcd_member";
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
        args::wanted(args, started)
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
        step.kind()
    }

    fn limit(wanted: &Wanted, _: &Observed, step: &Step) -> Limit {
        plan::limit(wanted, step)
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.timeout
    }

    fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
        plan::warnings(wanted, observed)
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        live::Live::open(wanted).map(Self)
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

//! Compacts and defragments an etcd cluster, one member at a time, and disarms alarms that no longer apply.
//!
//! Not for a cluster with a member that is not proven healthy, and not for one that has lost its quorum.
//!
//! The invariant: a member that is being defragmented serves nothing and counts as stopped; at every point of the operation the voters that are
//! proven alive are at least a quorum of the voters listed, and no two members are ever defragmented at once. The steps: compaction, then
//! member by member two samples of the evidence and the defragmentation, the leader last and after it has handed over, then the
//! alarms whose cause is gone. What can go wrong, and why each step keeps the invariant: `docs/safety/etcd_maintenance.md`.

pub mod args;
mod calls;
mod history;
pub mod live;
pub mod plan;
mod probe;
mod refuse;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use state::{Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct EtcdMaintenance(live::Live);

impl Module for EtcdMaintenance {
    const NAME: &'static str = "etcd_maintenance";
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, _: SystemTime) -> Result<Wanted, BadArgs> {
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
        step.kind()
    }

    fn limit(wanted: &Wanted, observed: &Observed, step: &Step) -> Limit {
        plan::limit(wanted, observed, step)
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

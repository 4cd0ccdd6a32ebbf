//! Recovers an etcd cluster that has lost its quorum from the survivor that holds most.
//!
//! Not while there is a quorum (`etcd_member` is for that), and not for k3s, which has a reset of its own.
//!
//! The invariant: at no time are there two sets of members that can both commit. So whoever is not recovered must be stopped for good before, and the
//! recovered member is reachable by nobody until it is the only voter. And nothing that any client was told is written gets lost, as far as the survivor holds
//! it. The steps: everything that could start or use the member is stopped, data and certificates are copied, every entry of
//! the log is kept, etcd runs once with `--force-new-cluster`, and then starts as it always did. Why each step keeps the invariant:
//! `docs/safety/etcd_recover.md`.

pub mod args;
pub mod live;
mod once;
pub mod plan;
mod refuse;
pub mod state;
mod survey;
pub mod wal;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use state::{Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct EtcdRecover(live::Live);

impl Module for EtcdRecover {
    const NAME: &'static str = "etcd_recover";
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

    async fn observe(&mut self, _: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe().await
    }

    async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        self.0.apply(step, observed).await
    }
}

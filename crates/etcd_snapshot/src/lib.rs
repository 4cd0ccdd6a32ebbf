//! Saves a verified snapshot of an etcd cluster, verifies one, lists and prunes them.
//!
//! From one proven follower near the leader, whose keys hash to the same as another voter's, over one connection to it alone. Not for
//! restoring, and not for a cluster without a quorum: there nothing proves whose data is right.
//!
//! The invariant: a file with one of our names is a whole snapshot of that cluster, whatever interrupts a run and whenever. And only
//! such a file is ever deleted.
//!
//! Steps: remove what an interrupted run left, save, delete older ones. What can go wrong, and why each step keeps the invariant:
//! `docs/safety/etcd_snapshot.md`.

#[expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]
pub mod args;
pub mod beside;
pub mod live;
pub mod name;
pub mod part;
pub mod plan;
pub mod refuse;
pub mod state;
pub mod store;
pub mod trailer;

use std::time::{Duration, SystemTime};

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};

use args::{Args, Wanted};
use state::{Observed, Step, View};

/// The module.
pub struct EtcdSnapshot(live::Snapshots);

impl Module for EtcdSnapshot {
    const NAME: &'static str = "etcd_snapshot";
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
        plan::kind(step)
    }

    fn limit(wanted: &Wanted, _: &Observed, step: &Step) -> Limit {
        plan::limit(wanted, step)
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.timeout + Duration::from_mins(1)
    }

    fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
        plan::warnings(wanted, observed)
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        live::Snapshots::open(wanted).map(Self)
    }

    async fn observe(&mut self, _: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe().await
    }

    async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        self.0.apply(step, observed).await
    }
}

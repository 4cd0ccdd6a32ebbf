//! Holds the lock of a control-plane operation, and the operation's record.
//!
//! One Lease in the cluster keeps two operations from overlapping, tells a run that was paused that it may not go on, and remembers what cannot be
//! observed any more once a step is done, so that the next run can resume one that was killed. Not for locking anything else, and not for a cluster
//! without an apiserver: recovery from quorum loss needs no lock.
//!
//! The invariant: at most one run may count on the lock at any moment, and a record that is open is never overwritten by another operation.
//!
//! Steps: acquire (also what is left behind by a run that is dead or has expired), renew, record, release; and the wait for another run to release
//! the lock or to expire. Why each keeps the invariant: `docs/safety/control_plane_lock.md`.

pub mod args;
pub mod live;
pub mod plan;
pub mod refuse;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use state::{Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct ControlPlaneLock(live::Lock);

impl Module for ControlPlaneLock {
    const NAME: &'static str = "control_plane_lock";
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
        match step {
            Step::AwaitExpiry { .. } | Step::AwaitRelease { .. } => Kind::Wait,
            Step::Renew => Kind::Upkeep,
            Step::Acquire { .. } | Step::Record { .. } | Step::Release => Kind::Change,
        }
    }

    fn limit(wanted: &Wanted, _: &Observed, step: &Step) -> Limit {
        // The plan refuses at the end of `wait`, and says whom it waited for; this is for an apiserver that is gone by then.
        let waits = Self::kind(step) == Kind::Wait;
        Limit::fail(if waits { wanted.wait + SLACK } else { SLACK })
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.wait + 4 * SLACK
    }

    fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
        plan::warnings(wanted, observed)
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        Ok(Self(live::Lock::open(wanted).await?))
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe(wanted).await
    }

    async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        self.0.apply(step, observed).await
    }
}

/// For one write to be seen, an election in between included.
const SLACK: Duration = Duration::from_secs(30);

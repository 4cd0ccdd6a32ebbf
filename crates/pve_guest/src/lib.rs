//! Switches a Proxmox VE virtual machine on or off, and proves it.
//!
//! For one VM, through the API. Not for containers, and not for creating or changing machines.
//!
//! The invariant: the machine that is switched has the wanted id *and* name; and "stopped" is said only of a machine whose node says so, on which no
//! task runs that may start it, and whose HA service, where there is one, is stopped.
//!
//! Steps: wait for tasks and locks of others, set `onboot`, ask for the power, wait until the node (and the HA stack) say so. What can go wrong, and
//! why a task's end proves nothing: `docs/safety/pve_guest.md`.

pub mod args;
pub mod live;
pub mod plan;
pub mod refuse;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal, Until};
use args::{Args, Wanted};
use state::{Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct PveGuest(live::Guests);

impl Module for PveGuest {
    const NAME: &'static str = "pve_guest";
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
        plan::deadline(wanted)
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        live::Guests::open(wanted).map(Self)
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe(wanted).await
    }

    async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        Until::fence(wanted.lock_until, SystemTime::now())
    }

    async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        self.0.apply(step, observed).await
    }
}

//! Replaces a disk of a stopped Proxmox VE machine by a fresh copy of an image.
//!
//! For one disk of one VM. Not for adding or growing disks, and not for machines that run.
//!
//! The invariant: of all volumes only the condemned one is ever detached, and only from the machine that has the wanted id, name and UUID (or digest), and
//! only while it is stopped; it is removed only by `state: committed`, from a machine whose disk is known to have replaced it.
//!
//! Steps: wait for a task and a lock, swap (one request that also writes the note of [`record`]), resize; and later: remove. Every reading is from Proxmox
//! VE alone, so that a re-run after any interruption finds out where it stands. What can go wrong, and how to go back: `docs/safety/pve_disk_reimage.md`.

pub mod args;
pub mod live;
pub mod plan;
pub mod record;
pub mod refuse;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal, Until};
use args::{Args, Wanted};
use state::{Observed, Step, View};
use std::time::{Duration, SystemTime};

/// The module.
pub struct PveDiskReimage(live::Disks);

impl Module for PveDiskReimage {
    const NAME: &'static str = "pve_disk_reimage";
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

    fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
        plan::warnings(wanted, observed)
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        live::Disks::open(wanted).map(Self)
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

//! Reads what a control-plane host is made of, and judges whether another may join beside it.
//!
//! Read-only: there is no step. A run reads one host ([`live`]); or it judges the reports of several ([`plan`]), which is a pure function of them, and
//! refuses with a sentence for every finding. What could not be read counts as wrong.

pub mod args;
pub mod live;
pub mod manifest;
pub mod plan;
pub mod probe;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Module, Refusal};
use args::{Args, Wanted};
use state::View;
use std::{
    convert::Infallible,
    fmt,
    time::{Duration, SystemTime},
};

/// The module.
pub struct ControlPlaneInfo;

/// There is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step(Infallible);

impl fmt::Display for Step {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Module for ControlPlaneInfo {
    const NAME: &'static str = "control_plane_info";
    const READ_ONLY: bool = true;
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = View;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
        args::wanted(args, started)
    }

    fn plan(wanted: &Wanted, _: &View) -> Result<Vec<Step>, Refusal> {
        wanted.question.as_ref().map_or(Ok(()), plan::judge).map(|()| vec![])
    }

    fn project(_: &View, step: &Step) -> View {
        match step.0 {}
    }

    fn view(observed: &View) -> View {
        observed.clone()
    }

    fn kind(step: &Step) -> Kind {
        match step.0 {}
    }

    fn deadline(_: &Wanted) -> Duration {
        Duration::from_mins(2)
    }

    fn warnings(wanted: &Wanted, _: &View) -> Vec<String> {
        wanted.question.as_ref().map(plan::doubts).unwrap_or_default()
    }

    async fn open(_: &Wanted) -> anyhow::Result<Self> {
        Ok(Self)
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<View> {
        match &wanted.question {
            Some(question) => Ok(plan::basis(question)),
            None => live::report(wanted).await,
        }
    }

    async fn apply(&mut self, step: &Step, _: &View) -> anyhow::Result<Applied> {
        match step.0 {}
    }
}

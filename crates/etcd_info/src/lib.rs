//! Reads an etcd cluster: members, evidence, leader, alarms, and what the gate would say.
//!
//! Read-only: there is no step, and so nothing that could go wrong but the reading. A member that cannot be reached is not an
//! error, it is an answer. Only a cluster of which no endpoint tells a member list is one, and not even that on a host that
//! shows a member of its own: then what is left there is the answer.
//!
//! What is wrong, and the way out, is a pure function over the reading: [`diagnose`].

pub mod args;
pub mod causes;
pub mod diagnose;
pub mod live;
pub mod local;
pub mod state;
pub mod view;

use ansible_module::{Applied, BadArgs, Kind, Module, Refusal};
use args::{Args, Wanted};
use state::Observed;
use std::{
    convert::Infallible,
    fmt,
    time::{Duration, SystemTime},
};
use view::View;

/// The module.
pub struct EtcdInfo(live::Live);

/// There is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step(Infallible);

impl fmt::Display for Step {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Module for EtcdInfo {
    const NAME: &'static str = "etcd_info";
    const READ_ONLY: bool = true;
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
        args::wanted(args, started)
    }

    fn plan(_: &Wanted, _: &Observed) -> Result<Vec<Step>, Refusal> {
        Ok(vec![])
    }

    fn project(_: &Observed, step: &Step) -> Observed {
        match step.0 {}
    }

    fn view(observed: &Observed) -> View {
        view::view(observed)
    }

    fn kind(step: &Step) -> Kind {
        match step.0 {}
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.timeout
    }

    fn warnings(_: &Wanted, observed: &Observed) -> Vec<String> {
        let exception = observed.gate.as_ref().and_then(|gate| gate.exception.as_ref());
        let exception = exception.map(|reason| format!("only by your permission: {reason}"));
        let ends = diagnose::diagnose(observed).causes.into_iter();
        let ends = ends.filter(|cause| cause.code == causes::Code::CertificateEnds);
        let ends = ends.map(|cause| format!("{}; {}", cause.evidence.join("; "), cause.way_out));
        exception.into_iter().chain(ends).collect()
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        live::Live::open(wanted).map(Self)
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe(wanted).await
    }

    async fn apply(&mut self, step: &Step, _: &Observed) -> anyhow::Result<Applied> {
        match step.0 {}
    }
}

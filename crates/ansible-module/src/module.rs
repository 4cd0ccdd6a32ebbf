//! What a module is: how it observes, what it decides, and how a decision is carried out.

use crate::{
    BadArgs, Refusal,
    options::{Options, Shape},
};
use serde::Serialize;
use std::{fmt::Display, time::Duration, time::SystemTime};

/// What kind of thing a step does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Alters the world: only if the first plan showed it, and done once.
    Change,
    /// Loses nothing, and a moving world may call for it at any time: move leadership, renew a lease. At most five a run.
    Upkeep,
    /// Alters nothing and makes no call: observed until the plan no longer asks for it.
    Wait,
}

/// How long a step may take to show its effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Time since the step came first in the plan.
    pub after: Duration,
    /// The rest of the plan was made for this case: go on with it (shut the sessions down) instead of failing.
    pub go_on: bool,
}

impl Limit {
    /// Fails when the step has not taken effect by then.
    pub const fn fail(after: Duration) -> Self {
        Self { after, go_on: false }
    }

    /// Goes on with the rest of the plan when the step has not taken effect by then.
    pub const fn go_on(after: Duration) -> Self {
        Self { after, go_on: true }
    }
}

/// What became of a step that was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Sent; its effect is seen by observing.
    Sent,
    /// Not, or not wholly: plan anew and, while the step still comes first, apply it again after this time; and why.
    Again(Duration, String),
}

/// An Ansible module. Everything that decides is a function of plain values and cannot touch the world; `open`, `observe` and `apply` do nothing else.
///
/// The first plan is the mandate: a run may shorten or reorder it, and never adds a change to it. See [`crate::Run`].
pub trait Module: Sized {
    /// Ansible's name of the module, without the collection.
    const NAME: &'static str;
    /// Whether it only reads: then the view is the reply, there is no `before`, and no change is ever planned.
    const READ_ONLY: bool = false;
    /// Examples for the documentation, as a YAML list of tasks: `include_str!("../examples.yml")`.
    const EXAMPLES: &'static str;

    /// What the user wrote.
    type Args: Options;
    /// The arguments after validation.
    type Wanted;
    /// One consistent reading of the world, a plain value.
    type Observed: Clone;
    /// One indivisible change. Equal means: the same change to the same thing. What varies (which pods) is in the observation.
    type Step: Clone + Eq + Display;
    /// What the user is shown and promised: the reply, the diff, and the law that a check equals a run.
    type View: Serialize + Shape + PartialEq;

    /// Validates the arguments.
    ///
    /// # Errors
    /// When they cannot be used, in words for the user.
    fn wanted(args: Self::Args, started: SystemTime) -> Result<Self::Wanted, BadArgs>;

    /// Decides what is to be done, or why nothing may be.
    ///
    /// # Errors
    /// A refusal, before any step exists.
    fn plan(wanted: &Self::Wanted, observed: &Self::Observed) -> Result<Vec<Self::Step>, Refusal>;

    /// The state expected after a step, in the worst case.
    fn project(observed: &Self::Observed, step: &Self::Step) -> Self::Observed;

    /// What of an observation is shown.
    fn view(observed: &Self::Observed) -> Self::View;

    /// What kind of thing a step does.
    fn kind(step: &Self::Step) -> Kind;

    /// How long a step may take.
    fn limit(_wanted: &Self::Wanted, _observed: &Self::Observed, _step: &Self::Step) -> Limit {
        Limit::fail(Duration::from_mins(2))
    }

    /// How long the whole run may take.
    fn deadline(_wanted: &Self::Wanted) -> Duration {
        Duration::from_mins(15)
    }

    /// What of an observation shows how far a step has come: `2 pods are left: "a", "b"`. A user who waits reads it, and a failure says what was seen last.
    ///
    /// Nothing in it may change with every reading, such as an age: it is told each time that it changes.
    fn seen(
        _wanted: &Self::Wanted,
        _observed: &Self::Observed,
        _step: &Self::Step,
    ) -> Option<String> {
        None
    }

    /// Sentences for the user that are not reasons to stop.
    fn warnings(_wanted: &Self::Wanted, _observed: &Self::Observed) -> Vec<String> {
        vec![]
    }

    /// Opens what is needed to observe. Must not change anything.
    #[expect(
        async_fn_in_trait,
        reason = "one current-thread runtime: no future ever crosses a thread"
    )]
    async fn open(wanted: &Self::Wanted) -> anyhow::Result<Self>;

    /// Reads the world. During a run an error means "not yet".
    #[expect(
        async_fn_in_trait,
        reason = "one current-thread runtime: no future ever crosses a thread"
    )]
    async fn observe(&mut self, wanted: &Self::Wanted) -> anyhow::Result<Self::Observed>;

    /// Proves, right before each change, that this run may still make it: its lock is still its own.
    ///
    /// # Errors
    /// The refusal that ends the run.
    #[expect(
        async_fn_in_trait,
        reason = "one current-thread runtime: no future ever crosses a thread"
    )]
    async fn fence(&mut self, _wanted: &Self::Wanted) -> Result<(), Refusal> {
        Ok(())
    }

    /// Sends a step, after verifying once more what it names. An error means "outcome unknown".
    #[expect(
        async_fn_in_trait,
        reason = "one current-thread runtime: no future ever crosses a thread"
    )]
    async fn apply(
        &mut self,
        step: &Self::Step,
        observed: &Self::Observed,
    ) -> anyhow::Result<Applied>;
}

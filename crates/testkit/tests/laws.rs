//! The laws hold for a sound module, and each is broken by one that is not.

use ansible_module::{Applied, BadArgs, Kind, Module, Refusal};
use std::time::SystemTime;

/// Adds up to a number.
#[derive(ansible_module::Options)]
struct Args {
    /// The number.
    to: u64,
}

/// What is shown.
#[derive(ansible_module::Returns, serde::Serialize, PartialEq, Debug)]
struct Shown {
    /// The number.
    number: u64,
}

/// `BUG`: 0 none, 1 a projection without effect, 2 a plan that skips, 3 a plan that grows.
struct Count<const BUG: u8>;

impl<const BUG: u8> Module for Count<BUG> {
    const NAME: &'static str = "count";
    const EXAMPLES: &'static str = "";
    type Args = Args;
    type Wanted = u64;
    type Observed = u64;
    type Step = u64;
    type View = Shown;

    fn wanted(args: Args, _: SystemTime) -> Result<u64, BadArgs> {
        Ok(args.to)
    }
    fn plan(to: &u64, now: &u64) -> Result<Vec<u64>, Refusal> {
        let first = if BUG == 2 && *now == 1 { *now + 2 } else { *now + 1 };
        Ok((first..=*to + u64::from(BUG == 3 && *now > 0)).collect())
    }
    fn project(now: &u64, step: &u64) -> u64 {
        if BUG == 1 { *now } else { *step }
    }
    fn view(now: &u64) -> Shown {
        Shown { number: *now }
    }
    fn kind(_: &u64) -> Kind {
        Kind::Change
    }
    async fn open(_: &u64) -> anyhow::Result<Self> {
        Ok(Self)
    }
    async fn observe(&mut self, _: &u64) -> anyhow::Result<u64> {
        Ok(0)
    }
    async fn apply(&mut self, _: &u64, _: &u64) -> anyhow::Result<Applied> {
        Ok(Applied::Sent)
    }
}

#[test]
fn a_sound_module_keeps_them() {
    assert!(testkit::laws::check::<Count<0>>(&3, &0, |now| *now <= 3));
}

#[test]
#[should_panic(expected = "peels")]
fn a_step_without_effect_is_found() {
    testkit::laws::check::<Count<1>>(&3, &0, |_| true);
}

#[test]
#[should_panic(expected = "peels")]
fn a_plan_that_skips_a_step_is_found() {
    testkit::laws::check::<Count<2>>(&3, &0, |_| true);
}

#[test]
#[should_panic(expected = "peels")]
fn a_plan_that_grows_is_found() {
    testkit::laws::check::<Count<3>>(&3, &0, |_| true);
}

#[test]
#[should_panic(expected = "keeps its invariant")]
fn a_prefix_that_breaks_the_invariant_is_found() {
    testkit::laws::check::<Count<0>>(&3, &0, |now| *now != 2);
}

//! The laws every module is tested with, over worlds that the test generates.
//!
//! *Converges*, *peels* (after a change or upkeep the plan is the tail, after a wait a part of it), *keeps its invariant* along every prefix,
//! *check equals run* (on the view), *survives* (a call whose reply is lost, before or after its effect) and *resumes* (killed after any step,
//! the next run finishes in the same view). The last three drive the real driver over a world made of the module's own projections.

use ansible_module::{Applied, Around, BadArgs, End, Hearing, Kind, Limit, Module, Refusal, Run};
use std::{cell::Cell, fmt::Debug, time::Duration, time::SystemTime};
use tokio::sync::watch;

/// More steps than any plan has: a plan that does not shrink is a plan that does not converge.
const MANY: usize = 200;

/// Checks all laws for one world. Returns whether there was a plan (a generator that only makes refusals proves nothing: count them).
///
/// # Panics
/// With the law that does not hold, the step and the plans.
pub fn check<M: Module<Step: Debug, View: Debug>>(
    wanted: &M::Wanted,
    world: &M::Observed,
    invariant: impl Fn(&M::Observed) -> bool,
) -> bool {
    let Ok(steps) = M::plan(wanted, world) else { return false };
    peels::<M>(wanted, world.clone(), steps.clone(), invariant);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { return false };
    runtime.block_on(async {
        let planned = steps.iter().fold(world.clone(), |world, step| M::project(&world, step));
        let promised = M::view(&planned);
        let whole = drive::<M>(
            wanted,
            &mut Simulated::<M>::new(world.clone(), Tear::Nothing),
            Tear::Nothing,
        )
        .await;
        assert!(
            whole.as_ref().is_ok_and(|after| M::view(after) == promised),
            "check equals run: {:?} promised, plan {steps:?}, end {:?}",
            promised,
            whole.err()
        );
        for at in 0..steps.len() {
            for tear in [Tear::LostBefore(at), Tear::LostAfter(at), Tear::Killed(at)] {
                survives::<M>(wanted, world, &promised, tear).await;
            }
        }
    });
    true
}

fn peels<M: Module<Step: Debug>>(
    wanted: &M::Wanted,
    mut now: M::Observed,
    mut steps: Vec<M::Step>,
    invariant: impl Fn(&M::Observed) -> bool,
) {
    assert!(steps.len() < MANY, "converges: a plan of {} steps", steps.len());
    while !steps.is_empty() {
        let step = steps.remove(0);
        now = M::project(&now, &step);
        assert!(invariant(&now), "keeps its invariant: not after {step}");
        let left = M::plan(wanted, &now);
        let Ok(left) = left else {
            panic_with(&format!("peels: refused after {step}: {:?}", left.err()))
        };
        let part = M::kind(&step) == Kind::Wait && left.iter().all(|step| steps.contains(step));
        assert!(left == steps || part, "peels: after {step} the plan is {left:?}, not {steps:?}");
        steps = left;
    }
}

#[expect(clippy::panic, reason = "a test's way to fail")]
fn panic_with(text: &str) -> ! {
    panic!("{text}")
}

/// A run that is torn ends in success, or says why; the next one, undisturbed, ends where the first would have.
async fn survives<M: Module<Step: Debug, View: Debug>>(
    wanted: &M::Wanted,
    world: &M::Observed,
    promised: &M::View,
    tear: Tear,
) {
    let mut torn = Simulated::<M>::new(world.clone(), tear);
    let first = drive::<M>(wanted, &mut torn, tear).await;
    let mut next = Simulated::<M>::new(torn.world.clone(), Tear::Nothing);
    match drive::<M>(wanted, &mut next, Tear::Nothing).await {
        Ok(after) => assert!(
            M::view(&after) == *promised,
            "resumes: {tear:?} ends in {:?}, promised was {promised:?}; first {:?}",
            M::view(&after),
            first.err()
        ),
        Err(End::Refused(_)) => {}
        Err(end) => panic_with(&format!(
            "resumes: after {tear:?} the next run ends with {end:?}; the first with {:?}",
            first.err()
        )),
    }
}

/// What happens to the n-th call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tear {
    Nothing,
    /// It fails and had no effect.
    LostBefore(usize),
    /// It fails and had its effect.
    LostAfter(usize),
    /// The run is stopped right after its effect.
    Killed(usize),
}

async fn drive<M: Module>(
    wanted: &M::Wanted,
    module: &mut Simulated<M>,
    tear: Tear,
) -> Result<M::Observed, End> {
    let (stop, stopped) = watch::channel(false);
    let sent = Cell::new(0);
    let mut tell = |said: ansible_module::Said<M::Step>| {
        if let ansible_module::Said::Sending(_) = said {
            stop.send_modify(|stop| *stop |= tear == Tear::Killed(sent.get()));
            sent.set(sent.get() + 1);
        }
    };
    let heard = || Hearing::Yes;
    let mut run =
        Run::<Simulated<M>>::new(wanted, Around { stop: stopped, heard: &heard, tell: &mut tell });
    run.drive(module, false).await
}

/// A world in which every step has exactly its projected effect; a wait comes true at the second reading.
struct Simulated<M: Module> {
    world: M::Observed,
    tear: Tear,
    calls: usize,
    readings: usize,
}

impl<M: Module> Simulated<M> {
    fn new(world: M::Observed, tear: Tear) -> Self {
        Self { world, tear, calls: 0, readings: 0 }
    }
}

impl<M: Module> Module for Simulated<M> {
    const NAME: &'static str = M::NAME;
    const EXAMPLES: &'static str = "";
    type Args = M::Args;
    type Wanted = M::Wanted;
    type Observed = M::Observed;
    type Step = M::Step;
    type View = M::View;

    fn wanted(args: M::Args, started: SystemTime) -> Result<M::Wanted, BadArgs> {
        M::wanted(args, started)
    }
    fn plan(wanted: &M::Wanted, observed: &M::Observed) -> Result<Vec<M::Step>, Refusal> {
        M::plan(wanted, observed)
    }
    fn project(observed: &M::Observed, step: &M::Step) -> M::Observed {
        M::project(observed, step)
    }
    fn view(observed: &M::Observed) -> M::View {
        M::view(observed)
    }
    fn kind(step: &M::Step) -> Kind {
        M::kind(step)
    }
    fn limit(_: &M::Wanted, _: &M::Observed, _: &M::Step) -> Limit {
        Limit::fail(Duration::from_mins(2))
    }
    fn deadline(_: &M::Wanted) -> Duration {
        Duration::from_hours(24)
    }
    async fn open(_: &M::Wanted) -> anyhow::Result<Self> {
        anyhow::bail!("a simulated world is made by the laws")
    }
    async fn observe(&mut self, wanted: &M::Wanted) -> anyhow::Result<M::Observed> {
        self.readings += 1;
        if self.readings.is_multiple_of(2)
            && let Ok(plan) = M::plan(wanted, &self.world)
            && let Some(head) = plan.first().filter(|head| M::kind(head) == Kind::Wait)
        {
            self.world = M::project(&self.world, head);
        }
        Ok(self.world.clone())
    }
    async fn apply(&mut self, step: &M::Step, _: &M::Observed) -> anyhow::Result<Applied> {
        let call = self.calls;
        self.calls += 1;
        if self.tear == Tear::LostBefore(call) {
            anyhow::bail!("reach the server: connection refused");
        }
        self.world = M::project(&self.world, step);
        if self.tear == Tear::LostAfter(call) {
            anyhow::bail!("hear the server: deadline exceeded");
        }
        Ok(Applied::Sent)
    }
}

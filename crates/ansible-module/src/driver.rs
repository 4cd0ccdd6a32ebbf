//! Observe, plan, and carry out nothing that the first plan did not show.

use crate::{Applied, Kind, Module, Refusal, Standing};
use std::{future::Future, mem::take, time::Duration};
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// Between two readings while a step is awaited: from, to.
const PAUSE: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// For a passing refusal at the start, a lost reply, a call cut by SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// A reading that takes longer is no reading: calls have deadlines of their own, this one is for those that do not.
const READING: Duration = Duration::from_secs(90);
/// A world that needs more in one run is not calm enough to work on.
const UPKEEP: usize = 5;

/// Why a run ended without having done everything.
#[derive(Debug)]
pub enum End {
    /// A reasoned no.
    Refused(Refusal),
    /// The world could not be read, or a call failed and its effect was not seen.
    Fault(anyhow::Error),
    /// A change came up that the first plan did not show, or that had been done before.
    Surprise(String),
    /// A step was sent and did not take effect in time.
    Unsettled {
        /// The step.
        step: String,
        /// What was seen last.
        last: String,
    },
    /// By a signal.
    Stopped,
    /// Nobody reads standard output any more: the controller is lost.
    Unheard,
}

/// What a run says while it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said<'a, S> {
    /// The first plan.
    Planned(&'a [S]),
    /// A step is being sent.
    Sending(&'a S),
    /// These steps are seen to be done, these have been sent and are not seen yet, and these are left.
    Progress {
        /// Seen to be done.
        done: &'a [S],
        /// Sent, and not yet seen to have taken effect.
        in_doubt: &'a [S],
        /// Not begun.
        left: &'a [S],
    },
    /// Waiting, and for what.
    Waiting(&'a str),
}

/// Whether somebody listens to a run. Nothing is changed while nobody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hearing {
    /// Somebody does.
    Yes,
    /// Nobody does, and somebody may come back.
    NotNow,
    /// Nobody will.
    NoMore,
}

impl Hearing {
    /// Of a line that nobody can take up again.
    pub fn on_the_line(is_heard: bool) -> Self {
        if is_heard { Self::Yes } else { Self::NoMore }
    }
}

/// What surrounds a run: who may stop it, who listens, who hears what it says.
pub struct Around<'a, S> {
    /// Becomes true when the run shall stop.
    pub stop: watch::Receiver<bool>,
    /// Whether somebody listens. Asked before each change.
    pub heard: &'a dyn Fn() -> Hearing,
    /// Told what happens.
    pub tell: &'a mut dyn FnMut(Said<S>),
}

type Planned<M> = (<M as Module>::Observed, Vec<<M as Module>::Step>);
/// One reading, or why there is none and whether that may pass.
type Look<M> = Result<Planned<M>, (bool, End)>;

/// One run of a module. It lives outside the future that drives it, so that a run cut short can still say what it did.
pub struct Run<'a, M: Module> {
    wanted: &'a M::Wanted,
    around: Around<'a, M::Step>,
    until: Instant,
    /// The mandate: the first plan.
    pub shown: Vec<M::Step>,
    /// Seen to have taken effect.
    pub done: Vec<M::Step>,
    /// Sent, and not yet seen to have taken effect.
    pub in_doubt: Vec<M::Step>,
    /// Whether a change was attempted.
    pub attempted: bool,
    /// The first observation that a plan was made from.
    pub before: Option<M::Observed>,
    waived: Vec<M::Step>,
    upkeep: usize,
}

/// What a step has gone through since it came first in the plan.
struct Turn {
    since: Instant,
    /// When it is to be sent, if at all.
    due: Option<Instant>,
    /// A call whose outcome is unknown, and until when its effect is looked for.
    doubt: Option<(Instant, anyhow::Error)>,
    last: String,
    /// Whether the newest reading is younger than the last call.
    fresh: bool,
    pause: Duration,
}

impl<'a, M: Module> Run<'a, M> {
    /// A run that has not begun.
    pub fn new(wanted: &'a M::Wanted, around: Around<'a, M::Step>) -> Self {
        let until = Instant::now() + M::deadline(wanted);
        let (shown, done, in_doubt, waived) = (vec![], vec![], vec![], vec![]);
        Self {
            wanted,
            around,
            until,
            shown,
            done,
            in_doubt,
            attempted: false,
            before: None,
            waived,
            upkeep: 0,
        }
    }

    /// Drives the module to its end; in check mode only to its plan. Returns the last observation, or the projected one.
    ///
    /// # Errors
    /// Why it ended early; what was done by then is in the fields.
    pub async fn drive(&mut self, module: &mut M, check: bool) -> Result<M::Observed, End> {
        let mut planned = self.first_look(module).await?;
        self.before = Some(planned.0.clone());
        self.shown.clone_from(&planned.1);
        (self.around.tell)(Said::Planned(&self.shown));
        if check {
            return Ok(self.shown.iter().fold(planned.0, |world, step| M::project(&world, step)));
        }
        while let Some(head) = planned.1.first().cloned() {
            planned = self.carry_out(module, &head, planned).await?;
        }
        Ok(planned.0)
    }

    /// The first reading decides; what may pass (an election) is given a few seconds.
    async fn first_look(&mut self, module: &mut M) -> Result<Planned<M>, End> {
        let (grace, mut pause) = (Instant::now() + GRACE, Duration::ZERO);
        loop {
            match self.look(module, pause).await {
                Err((true, end @ End::Refused(_))) if Instant::now() < grace => {
                    (self.around.tell)(Said::Waiting(&end.to_string()));
                }
                seen => return seen.map_err(|(_, end)| end),
            }
            pause = PAUSE[1];
        }
    }

    /// Applies the head and observes until the plan no longer begins with it, or its time is up.
    async fn carry_out(
        &mut self,
        module: &mut M,
        head: &M::Step,
        (mut now, mut plan): Planned<M>,
    ) -> Result<Planned<M>, End> {
        let since = Instant::now();
        let due = (M::kind(head) != Kind::Wait && !self.in_doubt.contains(head)).then_some(since);
        let mut turn =
            Turn { since, due, doubt: None, last: String::new(), fresh: true, pause: PAUSE[0] };
        self.upkeep += usize::from(M::kind(head) == Kind::Upkeep);
        if self.upkeep > UPKEEP || since >= self.until {
            return Err(End::Unsettled {
                step: head.to_string(),
                last: "the world does not come to rest".into(),
            });
        }
        while plan.first() == Some(head) {
            let is_due = turn.fresh && turn.due.is_some_and(|due| Instant::now() >= due);
            if is_due && self.may_send(head, &mut turn)? {
                self.send(module, head, &now, &mut turn).await?;
            }
            match self.look(module, turn.pause).await {
                Ok((seen, next)) => (now, plan, turn.fresh) = (seen, next, true),
                Err((false, end)) => return Err(end),
                // No call on a stale reading.
                Err((true, end)) => (turn.fresh, turn.last) = (false, end.to_string()),
            }
            self.compare(&plan)?;
            turn.pause = (turn.pause * 2).clamp(PAUSE[0], PAUSE[1]);
            if plan.first() == Some(head) {
                self.judge(head, &now, &mut plan, &mut turn)?;
            }
        }
        Ok((now, plan))
    }

    /// Whether somebody hears of a change. While nobody does, the step's own time stands still.
    fn may_send(&self, head: &M::Step, turn: &mut Turn) -> Result<bool, End> {
        if M::kind(head) != Kind::Change {
            return Ok(true);
        }
        match (self.around.heard)() {
            Hearing::Yes => Ok(true),
            Hearing::NoMore => Err(End::Unheard),
            Hearing::NotNow => {
                (turn.since, turn.pause) = (Instant::now(), PAUSE[0]);
                Ok(false)
            }
        }
    }

    /// Sends the head once, fenced.
    async fn send(
        &mut self,
        module: &mut M,
        head: &M::Step,
        now: &M::Observed,
        turn: &mut Turn,
    ) -> Result<(), End> {
        turn.due = None;
        if M::kind(head) == Kind::Change {
            module.fence(self.wanted).await.map_err(End::Refused)?;
            self.attempted = true;
            if !self.in_doubt.contains(head) {
                self.in_doubt.push(head.clone());
            }
        }
        (self.around.tell)(Said::Sending(head));
        match cut_short(&mut self.around.stop, module.apply(head, now)).await {
            Ok(Applied::Sent) => {}
            Ok(Applied::Again(after, why)) => {
                (turn.due, turn.last) = (Some(Instant::now() + after.max(PAUSE[0])), why);
            }
            Err(error) => turn.doubt = Some((Instant::now() + GRACE, error)),
        }
        turn.pause = Duration::ZERO;
        Ok(())
    }

    /// The plan still begins with the head: whether that may go on.
    fn judge(
        &mut self,
        head: &M::Step,
        now: &M::Observed,
        plan: &mut Vec<M::Step>,
        turn: &mut Turn,
    ) -> Result<(), End> {
        if turn.last.is_empty() || turn.fresh {
            turn.last = M::seen(self.wanted, now, head).unwrap_or_else(|| take(&mut turn.last));
        }
        let waiting =
            if turn.last.is_empty() { head.to_string() } else { format!("{head}: {}", turn.last) };
        (self.around.tell)(Said::Waiting(&waiting));
        let (time, limit) = (Instant::now(), M::limit(self.wanted, now, head));
        if let Some((_, error)) = turn.doubt.take_if(|(until, _)| time >= *until) {
            return Err(End::Fault(error));
        }
        let over = time >= turn.since + limit.after;
        if time >= self.until || (over && !limit.go_on) {
            return Err(End::Unsettled { step: head.to_string(), last: take(&mut turn.last) });
        }
        if over {
            self.waived.push(head.clone());
            plan.retain(|step| step != head);
        }
        Ok(())
    }

    /// One reading and its plan, or why there is none and whether that may pass.
    async fn look(&mut self, module: &mut M, pause: Duration) -> Look<M> {
        let wanted = self.wanted;
        let seen = async {
            // The clock of the runtime counts milliseconds: no pause would last one.
            if !pause.is_zero() {
                sleep(pause).await;
            }
            timeout(READING, module.observe(wanted)).await.unwrap_or_else(|_| {
                Err(anyhow::anyhow!("no whole reading within {} s", READING.as_secs()))
            })
        };
        let seen = select! {
            biased;
            _ = self.around.stop.wait_for(|stop| *stop) => return Err((false, End::Stopped)),
            seen = seen => seen,
        };
        let seen = seen.map_err(|error| (true, End::Fault(error)))?;
        let mut plan = M::plan(wanted, &seen)
            .map_err(|refusal| (refusal.standing == Standing::Passing, End::Refused(refusal)))?;
        plan.retain(|step| !self.waived.contains(step));
        Ok((seen, plan))
    }

    /// A step is done when no plan asks for it. A change that was not shown, or comes back, is a surprise.
    fn compare(&mut self, plan: &[M::Step]) -> Result<(), End> {
        let (open, done): (Vec<_>, Vec<_>) =
            take(&mut self.in_doubt).into_iter().partition(|step| plan.contains(step));
        self.in_doubt = open;
        self.done.extend(done);
        let left: Vec<_> =
            plan.iter().filter(|step| !self.in_doubt.contains(step)).cloned().collect();
        (self.around.tell)(Said::Progress {
            done: &self.done,
            in_doubt: &self.in_doubt,
            left: &left,
        });
        let foreign = |step: &&M::Step| !self.shown.contains(step) || self.done.contains(step);
        let change = plan.iter().filter(|step| M::kind(step) == Kind::Change).find(foreign);
        change.map_or(Ok(()), |step| Err(End::Surprise(step.to_string())))
    }
}

/// A call in flight when the signal comes gets a little longer: a reply lost is worse than a reply late.
async fn cut_short<T>(
    stop: &mut watch::Receiver<bool>,
    call: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let cut = async {
        // A sender that has gone will never ask to stop.
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
        sleep(GRACE).await;
    };
    select! {
        biased;
        sent = call => sent,
        () = cut => Err(anyhow::anyhow!("stopped by a signal while the call was under way")),
    }
}

#[cfg(test)]
mod tests;

//! Every reason to say no.

use ansible_module::Refusal;
use kube_cluster::LockName;
use std::fmt;

/// Names the bad state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// Another run holds the lock.
    Held {
        /// That run.
        by: Other,
        /// Seconds this one has waited.
        waited: u64,
        /// What can be done about it.
        way: Way,
    },
    /// Another operation was begun and not finished.
    Open(Other),
    /// This run had the lock, or thought so; another has it.
    Lost(Other),
    /// This run had the lock and did not renew it in time.
    Expired {
        /// Seconds since it was renewed.
        age: u64,
        /// Seconds that it holds for.
        duration: u64,
    },
    /// This run had the lock, and another has taken it over since.
    Ousted,
    /// This run has no lock.
    NotHeld,
}

/// What can be done about a lock that another run holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Its operation is the same: it is resumed once that run is gone.
    TakeOver,
    /// Its operation is another: it has to be finished.
    Finish,
    /// It may be given up.
    Abandon,
}

/// Another run and what it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Other {
    /// The run, for people.
    pub who: String,
    /// What it does.
    pub operation: String,
    /// To what.
    pub target: String,
    /// When it began.
    pub acquired: String,
    /// Seconds since it renewed the lock.
    pub age: u64,
    /// Seconds that the lock holds for.
    pub duration: u64,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { who, operation, target, acquired, age, .. } = self;
        if operation.is_empty() {
            return write!(f, "{who}, last renewed {age} s ago");
        }
        write!(f, "{who} for {operation} of {target}, begun {acquired}, last renewed {age} s ago")
    }
}

impl Way {
    fn out(self, by: &Other) -> String {
        let duration = by.duration;
        match self {
            Self::TakeOver => format!(
                "let that run finish; if it is gone, run this again with wait={duration} or more: what is not renewed for {duration} s is taken over"
            ),
            Self::Finish => {
                "let that run finish, or run this again with wait= as long as it may take".into()
            }
            Self::Abandon => format!(
                "a lock is released by the run that holds it; if that one is gone, give abandon=true and wait={duration} or more"
            ),
        }
    }
}

impl Unsafe {
    fn code(&self) -> &'static str {
        match self {
            Self::Held { .. } => "lock_held",
            Self::Open(_) => "operation_open",
            Self::Lost(_) | Self::Expired { .. } | Self::Ousted => "lock_lost",
            Self::NotHeld => "lock_not_held",
        }
    }

    /// What was observed, what was needed, and the way out.
    pub fn refusal(&self, lock: &LockName) -> Refusal {
        let LockName { namespace, name } = lock;
        let by_hand = format!("kubectl -n {namespace} delete lease {name}");
        let text = match self {
            Self::Held { by, waited, way } => {
                let waited = if *waited > 0 {
                    format!(" (waited {waited} s for it)")
                } else {
                    String::new()
                };
                format!(
                    "the lock {lock} is held by {by}{waited}; {}; or, once you are certain that it is gone for good: {by_hand}",
                    way.out(by)
                )
            }
            Self::Open(by) => {
                let Other { operation, target, .. } = by;
                format!(
                    "the lock {lock} has an operation that was not finished: {by}; finish it by running {operation} of {target} again, or give it up with state=released and abandon=true; nothing else may begin meanwhile, because that one may have left the control plane with a member less"
                )
            }
            Self::Lost(by) => format!(
                "this run does not hold the lock {lock}: it is held by {by}; nothing was changed; run the whole command again: it observes, takes the lock and resumes"
            ),
            Self::Expired { age, duration } => format!(
                "this run no longer holds the lock {lock}: it was last renewed {age} s ago and holds for {duration} s; nothing was changed; run the whole command again: it observes, takes the lock and resumes"
            ),
            Self::Ousted => format!(
                "this run has lost the lock {lock}: it was paused for longer than the lock holds, and another run took it over, whether or not that one has finished since; what this run saw before is not so any more; run the whole command again: it observes, takes the lock and resumes, or finds that there is nothing left to do"
            ),
            Self::NotHeld => format!(
                "this run does not hold the lock {lock}, nobody does; facts can be recorded by the run that holds it; acquire it first with state=held"
            ),
        };
        match self {
            Self::NotHeld => Refusal::unmet(self.code(), text),
            _ => Refusal::finally(self.code(), text),
        }
    }
}

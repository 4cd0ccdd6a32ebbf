//! A fence by time, for changes that are made where nobody could be asked whether the lock is still held.

use super::{At, Shape, Type, Value};
use crate::{BadArgs, Json, Refusal};
use jiff::Timestamp;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The moment until which a run may count on the control plane's lock, as RFC 3339 with an offset: `2026-11-21T11:40:00Z`.
///
/// A load balancer and the controller may reach no apiserver, so a module there cannot prove that the lock is still its run's. It is told instead until
/// when nobody else can have taken it, and asks its own clock right before each change. Why that is enough, and what it takes of the clocks:
/// `docs/decisions/0005-fence-by-time.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(Timestamp);

impl Until {
    /// Whole seconds since 1970; none for a year that nobody could write down.
    pub fn from_second(second: i64) -> Option<Self> {
        Timestamp::from_second(second).ok().map(Self)
    }

    /// Proves that the moment is still to come. Without one a change is not fenced.
    ///
    /// # Errors
    /// The refusal, of the code that the proof by an apiserver has too: `lock_lost`.
    pub fn fence(until: Option<Self>, now: SystemTime) -> Result<(), Refusal> {
        let Some(until) = until else { return Ok(()) };
        let over = until.over(now);
        over.map_or(Ok(()), |over| {
            Err(Refusal::finally(
                "lock_lost",
                format!(
                    "this run could count on the control plane's lock until {until}, which is {} s ago by this host's clock: it was paused for too long, or the clock is ahead; nothing more was changed; run the same command again: it observes, takes the lock and resumes",
                    over.as_secs()
                ),
            ))
        })
    }

    /// For how long it has been over. A clock that stands before 1970 tells nothing, and lets nothing pass.
    fn over(self, now: SystemTime) -> Option<Duration> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX);
        let until = Duration::try_from(self.0.as_duration()).unwrap_or_default();
        since.checked_sub(until)
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Shape for Until {
    const TYPE: Type = Type::plain("str");
}
impl Value for Until {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        let written = match value {
            Json::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        written.parse().map(Self).map_err(|_| {
            at.not_a(
                "time",
                value,
                &format!("expected a moment such as 2026-11-21T11:40:00Z, got '{written}'"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Json) -> Result<Until, BadArgs> {
        Until::decode(&At { name: "lock_until", parent: None }, value)
    }

    fn at(text: &str) -> SystemTime {
        let moment: Timestamp = text.parse().unwrap();
        SystemTime::UNIX_EPOCH + Duration::try_from(moment.as_duration()).unwrap()
    }

    #[test]
    fn a_change_is_refused_from_the_very_moment_on() {
        let until = read(&"2026-11-21T11:40:00Z".into()).unwrap();
        assert_eq!(Until::fence(Some(until), at("2026-11-21T11:39:59.999Z")), Ok(()));
        assert_eq!(Until::fence(None, at("2026-11-21T12:40:00Z")), Ok(()), "not fenced");
        for now in ["2026-11-21T11:40:00Z", "2026-11-21T11:40:42Z"] {
            let refusal = Until::fence(Some(until), at(now)).unwrap_err();
            assert_eq!(refusal.code, "lock_lost");
            assert_eq!(refusal.standing, crate::Standing::Final);
            assert!(refusal.text.contains("until 2026-11-21T11:40:00Z"), "{refusal}");
            assert!(refusal.text.contains("run the same command again"), "{refusal}");
        }
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(Until::fence(Some(until), before_1970).is_err(), "a clock that tells nothing");
    }

    #[test]
    fn any_offset_is_understood_and_none_is_refused() {
        let until = read(&"2026-11-21 12:40:00+01:00".into()).unwrap();
        assert_eq!(until.to_string(), "2026-11-21T11:40:00Z");
        assert_eq!(Until::from_second(1_795_261_200), Some(until));
        for bad in ["", "soon", "2026-11-21T11:40:00", "1795261200", "2026-11-21"] {
            let error = read(&bad.into()).unwrap_err().text("m");
            assert_eq!(
                error,
                format!(
                    "argument 'lock_until' is of type str and we were unable to convert to time: expected a moment such as 2026-11-21T11:40:00Z, got '{bad}'"
                )
            );
        }
        assert!(read(&serde_json::json!(1_795_261_200)).is_err());
    }
}

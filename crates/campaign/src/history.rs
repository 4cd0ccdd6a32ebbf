//! What clients of a few registers saw, and what of it a checker of linearizability needs.

use serde::Serialize;
use std::collections::BTreeMap;

/// What a client asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A linearizable read.
    Get,
    /// A write.
    Put,
    /// A write where the register holds what is expected, else a read.
    Cas,
}

/// One call of one client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Call {
    /// Which client.
    pub client: usize,
    /// Which register.
    pub key: String,
    /// What it asked for.
    pub kind: Kind,
    /// What was to be written; no other call has this value.
    pub value: String,
    /// What was expected; empty for a register that was never written.
    pub expect: String,
    /// When it was called, in nanoseconds.
    pub called: i64,
    /// When it returned; none: nobody knows what came of it.
    pub returned: Option<i64>,
    /// What was read; empty for a register that was never written.
    pub output: String,
    /// Whether the comparison held.
    pub swapped: bool,
}

impl Call {
    /// The value that this call shows to have been written.
    fn seen(&self) -> &str {
        match self.kind {
            Kind::Put => "",
            Kind::Cas if self.swapped => &self.expect,
            Kind::Get | Kind::Cas => &self.output,
        }
    }
}

/// Settles the calls of which nobody knows what came of them.
///
/// Every value is written once at most. So a write of unknown outcome whose value was seen did happen, and before the first call returned that saw it. One
/// whose value nobody ever saw changes no answer, whether it happened or not, and is left out: kept open for ever it would cost the checker exponential time.
pub fn settled(history: &[Call]) -> Vec<Call> {
    let mut first_seen: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for call in history {
        if let (Some(returned), seen) = (call.returned, call.seen())
            && !seen.is_empty()
        {
            let first = first_seen.entry((&call.key, seen)).or_insert(returned);
            *first = returned.min(*first);
        }
    }
    let settle = |call: &Call| match call.returned {
        Some(_) => Some(call.clone()),
        None if call.kind == Kind::Get => None,
        None => {
            let seen = first_seen.get(&(call.key.as_str(), call.value.as_str()))?;
            Some(Call { returned: Some(*seen), swapped: call.kind == Kind::Cas, ..call.clone() })
        }
    };
    history.iter().filter_map(settle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: Kind, value: &str, at: i64, returned: Option<i64>) -> Call {
        let (key, expect, output) = ("k".to_owned(), String::new(), String::new());
        Call {
            client: 0,
            key,
            kind,
            value: value.into(),
            expect,
            called: at,
            returned,
            output,
            swapped: false,
        }
    }

    fn read(output: &str, at: i64) -> Call {
        Call { output: output.into(), ..call(Kind::Get, "", at, Some(at + 1)) }
    }

    #[test]
    fn an_unknown_write_that_was_seen_happened_before_it_was() {
        let open = call(Kind::Put, "a", 1, None);
        let settled = settled(&[open.clone(), read("a", 5), read("a", 9)]);
        assert_eq!(settled.first(), Some(&Call { returned: Some(6), ..open }));
    }

    #[test]
    fn an_unknown_swap_that_was_seen_has_swapped() {
        let open = Call { expect: "z".into(), ..call(Kind::Cas, "a", 1, None) };
        let by_swap =
            Call { expect: "a".into(), swapped: true, ..call(Kind::Cas, "b", 4, Some(7)) };
        let settled = settled(&[open, by_swap]);
        assert_eq!(
            settled.first().map(|call| (call.swapped, call.returned)),
            Some((true, Some(7)))
        );
    }

    #[test]
    fn what_nobody_saw_and_reads_that_failed_are_left_out() {
        assert!(settled(&[call(Kind::Put, "a", 1, None), call(Kind::Get, "", 2, None)]).is_empty());
        let other = Call { key: "other".into(), ..read("a", 5) };
        assert_eq!(settled(&[call(Kind::Put, "a", 1, None), other.clone()]), [other]);
    }

    #[test]
    fn calls_that_returned_stay_as_they_are() {
        let all = [call(Kind::Put, "a", 1, Some(2)), read("a", 3)];
        assert_eq!(settled(&all), all);
    }
}

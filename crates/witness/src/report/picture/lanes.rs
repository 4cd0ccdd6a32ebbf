//! The members' part: what etcd and `HAProxy` say of each.

use std::collections::BTreeSet;

use super::{Canvas, LEFT, Scale, fits};
use crate::event::{Event, Role};

const STRIPE: f64 = 17.0;

/// A state from one moment to the next change.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    from: f64,
    to: f64,
    class: &'static str,
    text: String,
}

/// Draws two stripes a member.
pub fn draw(canvas: &mut Canvas, scale: Scale, events: &[Event]) {
    let names: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Server { server, .. } => Some(server.as_str()),
            Event::Etcd { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return;
    }
    canvas.heading("Members");
    for name in names {
        let top = canvas.y;
        for (of, changes) in [("etcd", etcd(events, name)), ("HAProxy", haproxy(events, name))] {
            if !changes.is_empty() {
                stripe(canvas, scale, of, &spans(scale.to, changes));
            }
        }
        let middle = f64::midpoint(top, canvas.y);
        canvas.text("name", 0.0, middle + 4.0, name);
        canvas.y += 8.0;
    }
}

fn stripe(canvas: &mut Canvas, scale: Scale, of: &str, spans: &[Span]) {
    let y = canvas.y;
    canvas.text("small-end", LEFT - 10.0, y + 12.5, of);
    for span in spans {
        let (left, right) = (scale.x(span.from), scale.x(span.to));
        canvas.rect(span.class, (left, right), (y, STRIPE - 2.0), &format!("{of}: {}", span.text));
        if fits(&span.text, left, right) {
            canvas.text(&format!("in-{}", span.class), left + 5.0, y + 11.5, &span.text);
        }
    }
    canvas.y += STRIPE;
}

type Change = (f64, &'static str, String);

fn etcd(events: &[Event], wanted: &str) -> Vec<Change> {
    let changes = events.iter().filter_map(|event| match event {
        Event::Etcd { at, name, role } if name == wanted => Some((*at, *role)),
        _ => None,
    });
    changes
        .map(|(at, role)| {
            let (class, text) = match role {
                Role::Leader => ("leader", "leader"),
                Role::Voter => ("voter", "voter"),
                Role::Learner => ("learner", "learner"),
                Role::Silent => ("silent", "no answer"),
                Role::Absent => ("absent", "removed"),
                Role::Unknown => ("unknown", "unknown"),
            };
            (at, class, text.to_string())
        })
        .collect()
}

fn haproxy(events: &[Event], wanted: &str) -> Vec<Change> {
    let changes = events.iter().filter_map(|event| match event {
        Event::Server { at, server, state } if server == wanted => Some((*at, state.as_str())),
        _ => None,
    });
    changes
        .map(|(at, state)| {
            let class = match state {
                "UP" => "up",
                "DRAIN" => "drain",
                "MAINT" => "maint",
                "DOWN" => "down",
                _ => "unknown",
            };
            (at, class, state.to_string())
        })
        .collect()
}

/// Joins changes to spans; the last one lasts to the end.
fn spans(end: f64, changes: Vec<Change>) -> Vec<Span> {
    let ends: Vec<f64> = changes.iter().skip(1).map(|(at, ..)| *at).chain([end]).collect();
    changes
        .into_iter()
        .zip(ends)
        .map(|((from, class, text), to)| Span { from, to, class, text })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lasts_until_the_next_one_or_the_end() {
        let state =
            |at, state: &str| Event::Server { at, server: "cp2".into(), state: state.into() };
        let other = Event::Server { at: 1.5, server: "cp1".into(), state: "UP".into() };
        let events = [state(1.0, "UP"), other, state(4.0, "DOWN")];
        let spans = spans(9.0, haproxy(&events, "cp2"));
        let told: Vec<(f64, f64, &str)> =
            spans.iter().map(|span| (span.from, span.to, span.class)).collect();
        assert_eq!(told, [(1.0, 4.0, "up"), (4.0, 9.0, "down")]);
    }
}

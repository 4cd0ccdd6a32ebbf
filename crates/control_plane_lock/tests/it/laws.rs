//! Every lease that can be met, and every wish.

use ansible_module::{
    Module,
    options::{At, Value},
};
use control_plane_lock::{
    ControlPlaneLock,
    state::{Lease, Observed, Operation},
};
use serde_json::{Value as Json, json};
use std::time::SystemTime;

const OWN: &str = "ctl/0b5f/4242/987654/1f3c9d2e";
const OTHER: &str = "desk/77aa/99/1234/aa00bb11";

fn wishes() -> Vec<Json> {
    let mut all = vec![];
    for wait in ["0", "20m"] {
        for record in [json!({}), json!({"old_node_uid": "u"})] {
            all.push(json!({"holder": OWN, "operation": "replace", "target": "cp2", "record": record, "wait": wait}));
            all.push(json!({"holder": OWN, "state": "recorded", "record": record}));
        }
        for abandon in [true, false] {
            all.push(json!({"holder": OWN, "state": "released", "abandon": abandon, "wait": wait}));
        }
    }
    all
}

fn operations() -> Vec<Option<Operation>> {
    let operation = |name: &str, target: &str, fact: bool| {
        let record =
            fact.then(|| ("old_node_uid".to_owned(), "u".to_owned())).into_iter().collect();
        Some(Operation {
            name: name.into(),
            target: target.into(),
            acquired: "2026-11-21T08:00:00Z".into(),
            record,
            taken_over_from: None,
        })
    };
    vec![
        None,
        operation("replace", "cp2", false),
        operation("replace", "cp2", true),
        operation("replace", "cp3", true),
        operation("upgrade", "cp2", false),
    ]
}

fn worlds() -> Vec<Observed> {
    let world = |lease| Observed {
        reader: OWN.into(),
        lease,
        date: "2026-11-21T08:30:00Z".into(),
        ..Observed::default()
    };
    let mut all = vec![world(None)];
    for operation in operations() {
        for holder in [None, Some(OWN), Some(OTHER)] {
            for age in [3, 300, 901] {
                for (unchanged, holder_gone) in [(0, false), (900, false), (0, true)] {
                    let lease = Lease {
                        version: "7".into(),
                        holder: holder.map(Into::into),
                        age,
                        duration: 900,
                        operation: operation.clone(),
                        ..Lease::default()
                    };
                    let gone = holder_gone && holder == Some(OTHER);
                    all.push(Observed { unchanged, holder_gone: gone, ..world(Some(lease)) });
                }
            }
        }
    }
    all
}

/// The record of an operation that is open is never overwritten by another one, and a lock never goes from a run that may be alive to another.
fn keeps(before: &Observed, after: &Observed, wish: &Json) -> bool {
    let abandon = wish["abandon"] == json!(true);
    let open = |world: &Observed| world.lease.as_ref().and_then(|lease| lease.operation.clone());
    let holder = |world: &Observed| world.lease.as_ref().and_then(|lease| lease.holder.clone());
    // Only the other run frees its lock where this one wants to hold it: what was waited for has come about.
    if wish["state"] != json!("released") && holder(after).is_none() && open(after).is_none() {
        return true;
    }
    let kept = match (open(before), open(after)) {
        (Some(was), Some(is)) => {
            let facts = was.record.iter().all(|(name, text)| is.record.get(name) == Some(text));
            was.name == is.name && was.target == is.target && was.acquired == is.acquired && facts
        }
        (Some(_), None) => holder(before).as_deref() == Some(OWN) || abandon,
        (None, _) => true,
    };
    let passed =
        holder(before).as_deref() == Some(OTHER) && holder(after).as_deref() != Some(OTHER);
    let lease = before.lease.clone().unwrap_or_default();
    let ended = before.holder_gone
        || before.unchanged >= lease.duration
        || after.unchanged >= lease.duration;
    kept && (!passed || ended)
}

#[test]
fn the_laws_hold_in_every_world() {
    let mut plans = 0;
    for wish in wishes() {
        let args =
            Value::decode(&At::ROOT, &wish).unwrap_or_else(|error| panic!("{wish}: {error:?}"));
        let wanted = ControlPlaneLock::wanted(args, SystemTime::UNIX_EPOCH)
            .unwrap_or_else(|error| panic!("{wish}: {error:?}"));
        for world in worlds() {
            // What a run waited for has come about in the world that follows the wait; from there on it is judged anew.
            let before = std::cell::RefCell::new(world.clone());
            let planned = testkit::laws::check::<ControlPlaneLock>(&wanted, &world, |after| {
                let kept = keeps(&before.borrow(), after, &wish);
                before.replace(after.clone());
                kept
            });
            plans += usize::from(planned);
        }
    }
    assert!(plans > 300, "only {plans} worlds had a plan");
}

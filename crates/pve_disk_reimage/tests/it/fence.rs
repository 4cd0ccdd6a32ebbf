//! Changes that are fenced by time.

use crate::live::{good, replaced, run, untouched};
use ansible_module::Until;
use serde_json::json;
use std::time::SystemTime;
use testkit::pve::Pve;

/// A moment that many seconds from now, as the lock tells it.
fn seconds_from_now(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Until::from_second(i64::try_from(now).unwrap() + seconds).unwrap().to_string()
}

#[test]
fn a_run_that_overslept_its_lock_replaces_nothing() {
    let pve = Pve::start(&json!({}));
    let reply = run(&pve, &json!({"lock_until": seconds_from_now(-1)}));
    assert_eq!((reply.refusal(), reply.changed()), ("lock_lost", false), "{}", reply.json);
    assert!(reply.msg().contains("run the same command again"), "{}", reply.msg());
    untouched(&pve);
    good(&run(&pve, &json!({"lock_until": seconds_from_now(60)})), true);
    replaced(&pve);
    let commit = json!({"state": "committed", "lock_until": seconds_from_now(-1)});
    assert_eq!(run(&pve, &commit).refusal(), "lock_lost");
    assert_eq!(pve.disks().len(), 2, "the old disk is kept");
}

#[test]
fn a_lock_that_ends_during_the_copy_leaves_the_resize_to_the_next_run() {
    let pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "qmconfig", "seconds": 4}));
    let reply = run(&pve, &json!({"lock_until": seconds_from_now(3)}));
    assert_eq!((reply.refusal(), reply.changed()), ("lock_lost", true), "{}", reply.json);
    assert_eq!(reply.json["steps_done"].as_array().unwrap().len(), 1, "{}", reply.json);
    assert_eq!(pve.count("PUT", "/resize"), 0);
    good(&run(&pve, &json!({"lock_until": seconds_from_now(60)})), true);
    replaced(&pve);
}

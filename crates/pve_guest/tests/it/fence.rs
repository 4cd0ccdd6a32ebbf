//! Changes that are fenced by time.

use crate::live::run;
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
fn a_run_that_overslept_its_lock_switches_nothing() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"status": "running"}), &json!({}));
    let wanted = |until: i64| json!({"state": "stopped", "onboot": false, "lock_until": seconds_from_now(until)});
    let reply = run(&pve, &wanted(-1));
    assert_eq!((reply.refusal(), reply.changed()), ("lock_lost", false), "{}", reply.json);
    assert!(reply.msg().contains("run the same command again"), "{}", reply.msg());
    assert_eq!((pve.count("POST", ""), pve.count("PUT", "")), (0, 0));
    assert_eq!(pve.vm()["status"], "running");
    assert!(run(&pve, &wanted(60)).changed());
    assert!(!run(&pve, &wanted(-1)).failed(), "where nothing is to be done nothing is fenced");
}

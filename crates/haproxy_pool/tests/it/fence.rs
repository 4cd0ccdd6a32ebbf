//! Changes that are fenced by time.

use std::time::SystemTime;

use ansible_module::Until;
use serde_json::json;

use crate::live::{call, three};

/// A moment that many seconds from now, as the lock tells it.
fn seconds_from_now(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Until::from_second(i64::try_from(now).unwrap() + seconds).unwrap().to_string()
}

#[test]
fn a_run_that_overslept_its_lock_changes_nothing() {
    let (_targets, haproxy) = three();
    let late = call(&haproxy, "drained", &json!({"lock_until": seconds_from_now(-1)}));
    let reply = late.run();
    assert_eq!((reply.refusal(), reply.changed()), ("lock_lost", false), "{reply:?}");
    assert!(reply.msg().contains("run the same command again"), "{}", reply.msg());
    assert_eq!(haproxy.status("kube", "cp2"), "UP");
    assert!(!late.check().run().failed(), "a check changes nothing, and needs no lock");
    let early = call(&haproxy, "drained", &json!({"lock_until": seconds_from_now(60)}));
    assert!(early.run().changed() && haproxy.status("kube", "cp2") == "DRAIN");
}

#[test]
fn each_change_is_fenced_anew() {
    let (targets, haproxy) = three();
    let mut session = haproxy.session("kube", &targets[1]);
    let more = json!({"drain_timeout": 5, "lock_until": seconds_from_now(3)});
    let reply = call(&haproxy, "maintenance", &more).run();
    assert_eq!((reply.refusal(), reply.changed()), ("lock_lost", true), "{reply:?}");
    assert!(reply.json["steps_done"].to_string().contains("drain kube/cp2"), "{reply:?}");
    assert!(session.is_open() && haproxy.status("kube", "cp2") == "DRAIN");
}

#[test]
fn a_time_that_cannot_be_read_is_no_fence_and_refused() {
    let (_targets, haproxy) = three();
    let reply = call(&haproxy, "drained", &json!({"lock_until": ""})).run();
    assert!(reply.failed() && reply.msg().contains("argument 'lock_until'"), "{reply:?}");
    assert_eq!(haproxy.status("kube", "cp2"), "UP");
}

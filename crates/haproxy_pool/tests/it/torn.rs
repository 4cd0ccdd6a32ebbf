//! Runs that are killed, or that HAProxy forgets.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::live::{PROGRAM, await_up, call, poll, state_of, three};

#[test]
fn a_reload_is_seen_and_made_good_by_the_next_run() {
    let (_targets, haproxy) = three();
    let call = call(&haproxy, "maintenance", &json!({}));
    assert!(call.run().changed() && !call.run().changed());
    haproxy.reload();
    await_up(&haproxy, "kube", &["cp1", "cp2", "cp3"]);
    let check = call.clone().check().run();
    assert_eq!(
        check.json["before"]["load_balancers"][0]["backends"][0]["state"], "ready",
        "the reload forgot it"
    );
    assert!(check.changed() && call.run().changed());
    assert_eq!(haproxy.status("kube", "cp2"), "MAINT");
}

#[test]
fn a_reload_during_a_run_ends_it_and_the_next_run_finishes() {
    let (targets, haproxy) = three();
    let _session = haproxy.session("kube", &targets[1]);
    let run = std::thread::spawn({
        let call = call(&haproxy, "maintenance", &json!({"drain_timeout": 60}));
        move || call.run()
    });
    haproxy.await_status("kube", "cp2", "DRAIN");
    haproxy.reload();
    let reply = run.join().unwrap();
    assert!(
        reply.failed() && reply.json["steps_done"].to_string().contains("drain kube/cp2"),
        "{reply:?}"
    );
    await_up(&haproxy, "kube", &["cp1", "cp2", "cp3"]);
    assert!(!call(&haproxy, "maintenance", &json!({})).run().failed());
    assert_eq!(haproxy.status("kube", "cp2"), "MAINT");
}

fn start(args: &Value) -> Child {
    let mut child =
        Command::new(PROGRAM).arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(args.to_string().as_bytes()).unwrap();
    child
}

#[test]
fn killed_between_any_two_steps_it_is_finished_by_the_next_run() {
    let (targets, haproxy) = three();
    let mut session = haproxy.session("kube", &targets[1]);
    let args = json!({"sockets": haproxy.admin(), "server": "cp2", "state": "maintenance", "drain_timeout": 60});
    let mut child = start(&args);
    haproxy.await_status("kube", "cp2", "DRAIN");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(session.is_open());
    let reply = call(&haproxy, "maintenance", &json!({"drain_timeout": 0})).run();
    assert!(
        reply.changed() && !reply.json["steps"].to_string().contains("drain kube"),
        "{reply:?}"
    );
    assert_eq!(haproxy.status("kube", "cp2"), "MAINT");
    poll("the session has ended", || !session.is_open());

    targets[1].set_sick(true);
    let served = targets[1].served();
    let mut child = start(&json!({"sockets": haproxy.admin(), "server": "cp2", "state": "ready"}));
    poll("it is put to the test", || haproxy.status("kube", "cp2").starts_with("DOWN"));
    child.kill().unwrap();
    child.wait().unwrap();
    targets[1].set_sick(false);
    haproxy.await_status("kube", "cp2", "DRAIN");
    assert!(
        (0..9).all(|_| haproxy.get("kube").is_some()) && targets[1].served() == served,
        "UP, and still drained"
    );
    let reply = call(&haproxy, "ready", &json!({})).run();
    assert!(reply.changed() && state_of(&reply, 0) == "ready", "{reply:?}");
}

//! Against real HAProxy processes, through the built program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::haproxy::{Backend, Haproxy, Target};
use testkit::module::{Call, Reply};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_haproxy_pool");

/// Three servers in one backend, all found UP.
pub fn three() -> ([Target; 3], Haproxy) {
    let targets = ["cp1", "cp2", "cp3"].map(Target::start);
    let haproxy = Haproxy::start(&[backend("kube", &targets)]);
    await_up(&haproxy, "kube", &["cp1", "cp2", "cp3"]);
    (targets, haproxy)
}

fn backend(name: &str, targets: &[Target]) -> Backend {
    let names = ["cp1", "cp2", "cp3"];
    targets
        .iter()
        .zip(names)
        .fold(Backend::new(name), |backend, (target, name)| backend.server(name, target))
}

/// UP by a check, not by HAProxy's assumption at its start.
pub fn await_up(haproxy: &Haproxy, backend: &str, servers: &[&str]) {
    for server in servers {
        let line = format!(" {server} 127.0.0.1 2 ");
        poll(&format!("{server} is checked"), || {
            let state = haproxy.ask(&format!("show servers state {backend}"));
            state
                .lines()
                .any(|found| found.contains(&line) && found.split(' ').nth(10) == Some("15"))
        });
    }
}

pub fn poll(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "did not come true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn call(haproxy: &Haproxy, state: &str, more: &Value) -> Call {
    let mut args = json!({"sockets": haproxy.admin(), "server": "cp2", "state": state});
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Call::new(PROGRAM, &args)
}

pub fn state_of(reply: &Reply, balancer: usize) -> &str {
    reply.json["load_balancers"][balancer]["backends"][0]["state"].as_str().unwrap_or("none")
}

/// Check, run, check, run.
fn four_runs(call: &Call, state: &str) {
    let runs = [call.clone().check().run(), call.run(), call.clone().check().run(), call.run()];
    assert_eq!(runs.each_ref().map(Reply::changed), [true, true, false, false], "{runs:#?}");
    assert_eq!(runs.each_ref().map(Reply::failed), [false; 4], "{runs:#?}");
    for reply in &runs {
        assert_eq!(state_of(reply, 0), state);
    }
    assert_eq!(
        runs[0].json["diff"]["after"],
        json!({"load_balancers": runs[1].json["load_balancers"]}),
        "a check promises what a run does"
    );
}

#[test]
fn each_state_is_reached_once_and_promised_by_check_mode() {
    let (targets, haproxy) = three();
    four_runs(&call(&haproxy, "drained", &json!({})), "drained");
    assert_eq!(haproxy.status("kube", "cp2"), "DRAIN");
    four_runs(&call(&haproxy, "maintenance", &json!({"backend": "kube"})), "maintenance");
    assert_eq!(haproxy.status("kube", "cp2"), "MAINT");
    let unchanged = call(&haproxy, "drained", &json!({})).run();
    assert!(
        !unchanged.changed() && haproxy.status("kube", "cp2") == "MAINT",
        "maintenance is drained already"
    );
    let served = targets[1].served();
    assert!(
        (0..9).all(|_| haproxy.get("kube").is_some()) && targets[1].served() == served,
        "nothing is balanced to it"
    );
    four_runs(&call(&haproxy, "ready", &json!({})), "ready");
    assert_eq!(haproxy.status("kube", "cp2"), "UP");
    poll("it serves again", || haproxy.get("kube").as_deref() == Some("cp2"));
}

#[test]
fn the_last_server_that_is_up_is_not_taken_out() {
    let (targets, haproxy) = three();
    targets[0].set_sick(true);
    targets[2].set_sick(true);
    haproxy.await_status("kube", "cp1", "DOWN");
    haproxy.await_status("kube", "cp3", "DOWN");
    for state in ["drained", "maintenance"] {
        let reply = call(&haproxy, state, &json!({})).run();
        assert_eq!((reply.refusal(), reply.changed()), ("last_up", false), "{reply:?}");
        assert!(
            reply.msg().contains(
                "0 of 2 other servers would be UP, at least 1 must be (cp1 is DOWN (L7STS 503"
            ),
            "{}",
            reply.msg()
        );
        assert_eq!(haproxy.status("kube", "cp2"), "UP");
    }
    targets[0].set_sick(false);
    haproxy.await_status("kube", "cp1", "UP");
    let reply = call(&haproxy, "drained", &json!({"min_up": 2})).run();
    assert_eq!(reply.refusal(), "last_up", "one other is UP, two were asked for");
    assert!(call(&haproxy, "maintenance", &json!({})).run().changed());
}

#[test]
fn tasks_for_all_servers_at_once_leave_one_up() {
    let (_targets, haproxy) = three();
    let calls = ["cp1", "cp2", "cp3"].map(|server| {
        call(&haproxy, "maintenance", &json!({"server": server, "drain_timeout": 0}))
    });
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let runs: Vec<_> = calls.iter().map(|call| scope.spawn(|| call.run())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let refused: Vec<_> = replies.iter().filter(|reply| reply.refusal() == "last_up").collect();
    let up = ["cp1", "cp2", "cp3"]
        .iter()
        .filter(|server| haproxy.status("kube", server) == "UP")
        .count();
    assert_eq!((refused.len(), up), (1, 1), "{replies:#?}");
}

#[test]
fn a_session_that_stays_is_waited_for_and_shut_down_only_for_maintenance() {
    let (targets, haproxy) = three();
    let mut session = haproxy.session("kube", &targets[1]);
    let since = Instant::now();
    let reply = call(&haproxy, "drained", &json!({"drain_timeout": 1})).run();
    assert!(
        reply.changed() && !reply.failed() && since.elapsed() >= Duration::from_secs(1),
        "{reply:?}"
    );
    assert!(session.is_open(), "a drained server keeps its sessions");
    let kept =
        call(&haproxy, "maintenance", &json!({"drain_timeout": 0, "shutdown_sessions": false}))
            .run();
    assert!(kept.changed() && session.is_open(), "they are left alone when asked for: {kept:?}");
    let reply = call(&haproxy, "maintenance", &json!({"drain_timeout": 1})).run();
    assert!(reply.changed() && !reply.failed(), "{reply:?}");
    poll("the session has ended", || !session.is_open());
    assert!(!call(&haproxy, "maintenance", &json!({})).run().changed());
}

#[test]
fn sessions_that_end_by_themselves_end_the_wait() {
    let (targets, haproxy) = three();
    let session = haproxy.session("kube", &targets[1]);
    let run = std::thread::spawn({
        let call = call(&haproxy, "maintenance", &json!({"drain_timeout": 60}));
        move || call.run()
    });
    haproxy.await_status("kube", "cp2", "DRAIN");
    drop(session);
    let since = Instant::now();
    let reply = run.join().unwrap();
    assert!(!reply.failed() && since.elapsed() < Duration::from_secs(20), "{reply:?}");
    let steps = reply.json["steps"].to_string();
    assert!(!steps.contains("shut down"), "there was nothing to shut down: {steps}");
}

/// Requests through the front end without a pause, until told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
}

impl Traffic {
    fn through<'scope>(
        scope: &'scope std::thread::Scope<'scope, '_>,
        haproxy: &'scope Haproxy,
    ) -> Self {
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (until, counter) = (Arc::clone(&stop), Arc::clone(&failed));
        scope.spawn(move || {
            while !until.load(Ordering::SeqCst) {
                counter.fetch_add(usize::from(haproxy.get("kube").is_none()), Ordering::SeqCst);
            }
        });
        Self { stop, failed }
    }

    fn end(&self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.failed.load(Ordering::SeqCst)
    }
}

#[test]
fn a_target_that_is_not_well_never_gets_a_connection() {
    let (targets, haproxy) = three();
    assert!(call(&haproxy, "maintenance", &json!({})).run().changed());
    targets[1].set_sick(true);
    let served = targets[1].served();
    std::thread::scope(|scope| {
        let traffic = Traffic::through(scope, &haproxy);
        let reply = call(&haproxy, "ready", &json!({"ready_timeout": 2})).run();
        assert_eq!((reply.refusal(), targets[1].served()), ("not_up", served), "{reply:?}");
        assert!(
            reply.msg().contains("L7STS 503") && reply.msg().contains("stays drained"),
            "{}",
            reply.msg()
        );
        // The next run begins again, and the target gets well meanwhile.
        let run = scope.spawn(|| call(&haproxy, "ready", &json!({})).run());
        let checked = targets[1].checked();
        poll("checks go on", || targets[1].checked() > checked + 2);
        assert_eq!(targets[1].served(), served);
        let checked = targets[1].checked();
        targets[1].set_sick(false);
        poll("it gets a connection", || targets[1].served() > served);
        assert!(
            targets[1].checked() >= checked + 3,
            "rise is 3, and {} checks passed",
            targets[1].checked() - checked
        );
        assert!(!run.join().unwrap().failed());
        assert_eq!(traffic.end(), 0, "and no request failed meanwhile");
    });
}

#[test]
fn an_operator_may_look_and_not_touch() {
    let (_targets, haproxy) = three();
    let args = json!({"sockets": haproxy.operator(), "server": "cp2", "state": "maintenance"});
    let reply = Call::new(PROGRAM, &args).run();
    assert_eq!((reply.refusal(), reply.changed()), ("not_admin", false), "{reply:?}");
    assert!(reply.msg().contains("has level operator, and admin is needed"), "{}", reply.msg());
    assert_eq!(haproxy.status("kube", "cp2"), "UP");
    let mut ready = args;
    ready["state"] = json!("ready");
    assert!(!Call::new(PROGRAM, &ready).run().failed(), "there is nothing to touch");
}

#[test]
fn two_load_balancers_come_to_the_same_state_or_none_is_changed() {
    let targets = ["cp1", "cp2", "cp3"].map(Target::start);
    let [one, mut two] =
        [0, 1].map(|_| Haproxy::start(&[backend("kube", &targets), backend("again", &targets)]));
    for haproxy in [&one, &two] {
        await_up(haproxy, "kube", &["cp1", "cp2", "cp3"]);
        await_up(haproxy, "again", &["cp1", "cp2", "cp3"]);
    }
    let args =
        |state: &str| json!({"sockets": [one.admin(), two.tcp()], "server": "cp2", "state": state});
    four_runs(&Call::new(PROGRAM, &args("maintenance")), "maintenance");
    for haproxy in [&one, &two] {
        assert_eq!(
            [haproxy.status("kube", "cp2"), haproxy.status("again", "cp2")],
            ["MAINT", "MAINT"]
        );
    }
    // Half of it undone by hand, as after a run that was killed: only that half is done again.
    two.ask("set server again/cp2 state ready");
    await_up(&two, "again", &["cp2"]);
    let reply = Call::new(PROGRAM, &args("maintenance")).run();
    let steps: Vec<_> =
        reply.json["steps"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        steps.iter().all(|step| step.contains("again/cp2 on 127.0.0.1:")) && reply.changed(),
        "{reply:?}"
    );
    four_runs(&Call::new(PROGRAM, &args("ready")), "ready");
    // The last one UP on one of them is the last one UP.
    for server in ["cp1", "cp3"] {
        two.ask(&format!("set server kube/{server} state maint"));
    }
    let reply = Call::new(PROGRAM, &args("maintenance")).run();
    assert_eq!((reply.refusal(), reply.changed()), ("last_up", false), "{reply:?}");
    let address = two.tcp().to_owned();
    two.stop();
    let reply = Call::new(PROGRAM, &args_of(&one, &address)).run();
    assert_eq!((reply.refusal(), reply.changed()), ("unreachable", false), "{reply:?}");
    assert!(reply.msg().contains(&address), "{}", reply.msg());
    assert_eq!(one.status("kube", "cp2"), "UP", "nothing was changed on the one that answers");
}

fn args_of(one: &Haproxy, two: &str) -> Value {
    json!({"sockets": [one.admin(), two], "server": "cp2", "state": "maintenance"})
}

#[test]
fn what_does_not_exist_is_named_beside_what_does() {
    let (_targets, haproxy) = three();
    let server = call(&haproxy, "maintenance", &json!({"server": "cp9"})).run();
    assert_eq!(
        (server.refusal(), server.msg().contains("there is cp1, cp2, cp3")),
        ("no_server", true),
        "{server:?}"
    );
    let backend = call(&haproxy, "maintenance", &json!({"backend": "kuba"})).run();
    assert_eq!(
        (backend.refusal(), backend.msg().ends_with("it has kube")),
        ("no_backend", true),
        "{backend:?}"
    );
}

#[test]
fn a_server_disabled_in_the_configuration_comes_back_through_its_checks() {
    let targets = ["cp1", "cp2"].map(Target::start);
    let backend = Backend::new("kube").server("cp1", &targets[0]).server_with(
        "cp2",
        &targets[1],
        "check disabled",
    );
    let follower = Backend::new("metrics")
        .server_with("cp2", &targets[1], "track kube/cp2")
        .server("cp1", &targets[0]);
    let haproxy = Haproxy::start(&[backend, follower]);
    await_up(&haproxy, "kube", &["cp1"]);
    await_up(&haproxy, "metrics", &["cp1"]);
    let call = call(&haproxy, "ready", &json!({}));
    let reply = call.run();
    assert!(reply.changed() && !reply.failed() && !call.run().changed(), "{reply:?}");
    assert_eq!([haproxy.status("kube", "cp2"), haproxy.status("metrics", "cp2")], ["UP", "UP"]);
    let unchecked =
        Backend::new("kube").server("cp1", &targets[0]).server_with("cp2", &targets[1], "disabled");
    let haproxy = Haproxy::start(&[unchecked]);
    let reply = self::call(&haproxy, "ready", &json!({})).run();
    assert_eq!(
        (reply.refusal(), haproxy.status("kube", "cp2").as_str()),
        ("no_check", "MAINT"),
        "{reply:?}"
    );
}

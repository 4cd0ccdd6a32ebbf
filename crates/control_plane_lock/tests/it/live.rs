//! The built program against a real kube-apiserver.

use serde_json::{Value, json};
use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};
use testkit::{
    apiserver::Apiserver,
    module::{Call, Reply},
};

struct World {
    api: Arc<Apiserver>,
    lease: &'static str,
}

impl World {
    fn new(lease: &'static str) -> Self {
        let api = Apiserver::shared().unwrap_or_else(|error| panic!("{error:#}"));
        Self { api, lease }
    }

    fn call(&self, holder: &str, more: &Value) -> Call {
        let mut args =
            json!({"kubeconfig": self.api.kubeconfig(), "name": self.lease, "holder": holder});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Call::new(env!("CARGO_BIN_EXE_control_plane_lock"), &args)
    }

    fn run(&self, holder: &str, more: &Value) -> Reply {
        self.call(holder, more).run()
    }

    fn lease(&self) -> Value {
        self.api
            .get(&format!(
                "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{}",
                self.lease
            ))
            .unwrap()
    }
}

fn replace(target: &str) -> Value {
    json!({"operation": "replace", "target": target})
}

fn settled(reply: Reply, changed: bool) -> Value {
    assert!(!reply.failed() && reply.changed() == changed, "{}", reply.json);
    reply.json
}

#[test]
fn an_operation_is_locked_recorded_and_released() {
    let world = World::new("whole");
    let checked = settled(world.call("a", &replace("cp2")).check().run(), true);
    assert_eq!(checked["diff"]["after"]["holder"], "a");
    assert!(
        world.api.get("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/whole").is_err(),
        "a check changes nothing"
    );
    let did = settled(world.run("a", &replace("cp2")), true);
    assert_eq!((&did["holder"], &did["target"]), (&json!("a"), &json!("cp2")));
    settled(world.run("a", &replace("cp2")), false);
    let facts = json!({"state": "recorded", "record": {"condemned_volid": "lab:vm-102-disk-0"}});
    settled(world.run("a", &facts), true);
    settled(world.run("a", &facts), false);
    assert_eq!(
        world.lease()["metadata"]["annotations"]["record.quorate.io/condemned_volid"],
        "lab:vm-102-disk-0"
    );
    let refused = world.run("b", &json!({"state": "recorded", "record": {"x": "y"}}));
    assert_eq!(refused.refusal(), "lock_lost");
    settled(world.run("a", &json!({"state": "released", "target": "cp2"})), true);
    settled(world.run("a", &json!({"state": "released", "target": "cp2"})), false);
    let lease = world.lease();
    assert!(
        lease["spec"]["holderIdentity"].is_null()
            && lease["metadata"]["annotations"]["quorate.io/target"].is_null(),
        "{lease}"
    );
    assert_eq!(
        world.run("b", &json!({"state": "recorded", "record": {"x": "y"}})).refusal(),
        "lock_not_held"
    );
}

/// What modules that reach no apiserver count on.
#[test]
fn it_is_told_until_when_the_lock_may_be_counted_on() {
    let world = World::new("until");
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (since, taken) = (now(), settled(world.run("a", &replace("cp2")), true));
    let second = |text: &Value| {
        text.as_str().unwrap().parse::<kube_cluster::Timestamp>().unwrap().as_second()
    };
    let until = second(&taken["holds_until"]) - i64::try_from(since).unwrap();
    // 900 s, less a tenth; the server's clock tells whole seconds.
    let took = i64::try_from(now() - since).unwrap();
    assert!((809..=811 + took).contains(&until), "{until} s: {taken}");
    let proven = settled(world.run("a", &json!({"state": "recorded"})), false);
    assert!(second(&proven["holds_until"]) >= second(&taken["holds_until"]) - 1, "{proven}");
    let released = settled(world.run("a", &json!({"state": "released"})), true);
    assert!(released["holds_until"].is_null(), "{released}");
}

#[test]
fn a_second_run_is_told_who_holds_the_lock() {
    let world = World::new("second");
    settled(world.run("ctl/b/4242/1/r1", &replace("cp2")), true);
    for target in ["cp2", "cp3"] {
        let refused = world.run("desk/b/7/1/r2", &replace(target));
        assert_eq!(refused.refusal(), "lock_held", "{}", refused.json);
        for word in [
            "process 4242 on ctl (run r1)",
            "replace of cp2",
            "begun ",
            "kubectl -n kube-system delete lease second",
        ] {
            assert!(refused.msg().contains(word), "{word}: {}", refused.msg());
        }
    }
}

#[test]
fn a_lock_that_is_not_renewed_is_taken_over_by_ones_own_clock() {
    let world = World::new("expiring");
    let mut short = replace("cp2");
    short["duration"] = json!(3);
    short["record"] = json!({"old_node_uid": "u"});
    let begun = settled(world.run("a", &short), true)["acquired"].clone();
    let mut patient = replace("cp2");
    patient["wait"] = json!(60);
    let (since, taken) = (Instant::now(), settled(world.run("b", &patient), true));
    assert!(since.elapsed() >= Duration::from_secs(3), "expired after {:?}", since.elapsed());
    assert_eq!(
        (&taken["holder"], &taken["taken_over_from"], &taken["acquired"]),
        (&json!("b"), &json!("a"), &begun)
    );
    assert_eq!(taken["record"]["old_node_uid"], "u");
    assert_eq!(
        world.run("a", &json!({"state": "recorded", "record": {"x": "y"}})).refusal(),
        "lock_lost"
    );

    settled(world.run("b", &json!({"state": "released"})), true);
    settled(world.run("a", &short), true);
    let mut other = replace("cp3");
    other["wait"] = json!(60);
    let refused = world.run("b", &other);
    assert_eq!(refused.refusal(), "operation_open", "{}", refused.json);
    settled(world.run("b", &json!({"state": "released", "abandon": true, "wait": 60})), true);
    settled(world.run("b", &replace("cp3")), true);
}

#[test]
fn a_waiting_run_gets_the_lock_when_it_is_released() {
    let world = World::new("handover");
    settled(world.run("a", &replace("cp3")), true);
    let mut patient = replace("cp2");
    patient["wait"] = json!(60);
    let waiting = world.call("b", &patient);
    let waiting = thread::spawn(move || waiting.run());
    thread::sleep(Duration::from_millis(500));
    settled(world.run("a", &json!({"state": "released"})), true);
    let taken = settled(waiting.join().unwrap(), true);
    assert_eq!(
        (&taken["holder"], &taken["target"], &taken["taken_over_from"]),
        (&json!("b"), &json!("cp2"), &Value::Null)
    );
}

/// A process that stands for ansible-playbook, and the holder that the action plugin would make of it.
fn controller() -> (Child, String) {
    let child = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let boot = host::identity::boot_id().unwrap();
    let started = host::identity::process_start(child.id()).unwrap().unwrap();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let run = kube_cluster::run_id(&boot, space.to_str().unwrap(), child.id(), started);
    let holder = format!("{}/{boot}/{}/{started}/{run}", host.trim(), child.id());
    (child, holder)
}

#[test]
fn a_killed_run_is_taken_over_at_once_and_a_stopped_one_is_not() {
    let world = World::new("killed");
    let (mut child, holder) = controller();
    settled(world.run(&holder, &replace("cp2")), true);
    let (mut second, next) = controller();
    Command::new("kill").args(["-STOP", &child.id().to_string()]).status().unwrap();
    assert_eq!(world.run(&next, &replace("cp2")).refusal(), "lock_held");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.run(&next, &replace("cp3")).refusal(), "operation_open");
    let taken = settled(world.run(&next, &replace("cp2")), true);
    assert_eq!(taken["taken_over_from"], json!(holder));
    assert!(taken["warnings"].to_string().contains("is resumed"), "{taken}");
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn a_run_that_was_paused_past_a_whole_other_run_does_not_begin_again() {
    let world = World::new("overslept");
    let (paused, other) = ("ctl/0b5f/70/1070/r1", "desk/77aa/80/1080/r2");
    let mut short = replace("cp2");
    short["duration"] = json!(1);
    settled(world.run(paused, &short), true);
    let mut patient = replace("cp2");
    patient["wait"] = json!(60);
    settled(world.run(other, &patient), true);
    assert_eq!(world.run(paused, &replace("cp2")).refusal(), "lock_lost");
    settled(world.run(other, &json!({"state": "released"})), true);
    for more in [replace("cp2"), json!({"state": "recorded"})] {
        let refused = world.run(paused, &more);
        assert_eq!(refused.refusal(), "lock_lost", "{}", refused.json);
    }
    settled(world.run("ctl/0b5f/90/1090/r3", &replace("cp2")), true);
}

#[test]
fn a_controller_elsewhere_tells_of_its_processes() {
    let world = World::new("elsewhere");
    let holder = |pid: u32| {
        format!(
            "far/0b5f/{pid}/{}/{}",
            pid + 1000,
            kube_cluster::run_id("0b5f", "pid:[4026531836]", pid, u64::from(pid) + 1000)
        )
    };
    settled(world.run(&holder(70), &replace("cp2")), true);
    let mut next = replace("cp2");
    next["controller"] =
        json!({"pid_namespace": "pid:[4026531836]", "processes": ["1/1", "70/1070", "80/1080"]});
    assert_eq!(world.run(&holder(80), &next).refusal(), "lock_held");
    next["controller"]["processes"] = json!(["1/1", "80/1080"]);
    let taken = settled(world.run(&holder(80), &next), true);
    assert_eq!(taken["taken_over_from"], json!(holder(70)));
}

#[test]
fn of_two_controllers_that_start_at_once_one_has_the_lock() {
    let world = World::new("at-once");
    let calls: Vec<_> = ["a", "b", "c"]
        .map(|holder| world.call(holder, &replace("cp2")))
        .into_iter()
        .map(|call| thread::spawn(move || call.run()))
        .collect();
    let replies: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
    let won: Vec<_> = replies.iter().filter(|reply| !reply.failed()).collect();
    assert_eq!(won.len(), 1, "{:?}", replies.iter().map(|reply| &reply.json).collect::<Vec<_>>());
    assert!(
        replies.iter().filter(|reply| reply.failed()).all(|reply| reply.refusal() == "lock_held")
    );
    assert_eq!(world.lease()["spec"]["holderIdentity"], won[0].json["holder"]);
}

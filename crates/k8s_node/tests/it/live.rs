//! The built program against a real kube-apiserver.

use crate::world::World;
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};
use testkit::{etcd::Etcd, module::Reply};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_mins(5);

fn settled(reply: Reply, changed: bool) -> Value {
    assert!(!reply.failed() && reply.changed() == changed, "{}", reply.json);
    reply.json
}

fn refused(reply: &Reply, code: &str, words: &[&str]) {
    assert_eq!(reply.refusal(), code, "{}", reply.json);
    for word in words {
        assert!(reply.msg().contains(word), "{word} is not in: {}", reply.msg());
    }
}

#[test]
fn a_node_is_cordoned_and_uncordoned() {
    let world = World::new();
    world.worker("w-cordon", NOW);
    settled(world.call("w-cordon", "cordoned", &json!({})).check().run(), true);
    assert!(world.get_node("w-cordon").unwrap()["spec"]["unschedulable"].is_null());
    settled(world.run("w-cordon", "cordoned", &json!({})), true);
    assert_eq!(world.get_node("w-cordon").unwrap()["spec"]["unschedulable"], json!(true));
    settled(world.run("w-cordon", "cordoned", &json!({})), false);
    settled(world.run("w-cordon", "uncordoned", &json!({})), true);
    settled(world.run("w-cordon", "uncordoned", &json!({})), false);
    refused(&world.run("w-none", "cordoned", &json!({})), "no_node", &[]);
    assert_eq!(settled(world.run("w-none", "current", &json!({})), false)["exists"], json!(false));
    assert_eq!(settled(world.run("w-cordon", "current", &json!({})), false)["ready"], json!(true));
}

#[test]
fn a_drain_waits_for_a_budget_and_more_pods_than_go_at_once() {
    let world = World::new();
    world.worker("w-drain", NOW);
    for at in 0..12 {
        world.pod("w-drain", &format!("many-{at}"), "many");
    }
    world.pod("w-drain", "budgeted", "budgeted");
    world.budget("budgeted", "budgeted", 0);
    let checked = settled(world.call("w-drain", "drained", &json!({})).check().run(), true);
    assert_eq!(checked["diff"]["after"]["pods"], json!([]));
    let call = world.call("w-drain", "drained", &json!({"timeout": 120}));
    let drain = thread::spawn(move || call.run());
    let until = Instant::now() + Duration::from_mins(1);
    let pods = "/api/v1/namespaces/default/pods?fieldSelector=spec.nodeName%3Dw-drain";
    while world.api.get(pods).unwrap()["items"].as_array().unwrap().len() > 1 {
        assert!(Instant::now() < until, "the pods without a budget stay");
        thread::sleep(Duration::from_millis(100));
    }
    world.allow("budgeted", 1);
    let drained = settled(drain.join().unwrap(), true);
    assert_eq!((&drained["pods"], &drained["cordoned"]), (&json!([]), &json!(true)));
    settled(world.run("w-drain", "drained", &json!({})), false);
}

#[test]
fn what_blocks_a_drain_is_named() {
    let world = World::new();
    world.worker("w-held", NOW);
    world.pod("w-held", "held", "held");
    world.budget("tight", "held", 0);
    world.pod_with("w-held", "slow", "slow", json!({"terminationGracePeriodSeconds": 600}));
    let reply = world.run("w-held", "drained", &json!({"timeout": 6}));
    refused(
        &reply,
        "drain_timeout",
        &[
            "default/held is held by the PodDisruptionBudget default/tight",
            "default/slow is terminating",
            "w-held is cordoned",
        ],
    );
}

#[test]
fn nothing_is_lost_that_was_not_given_up() {
    let world = World::new();
    world.worker("w-lost", NOW);
    world.unmanaged("w-lost", "alone", json!({"terminationGracePeriodSeconds": 0}));
    world.pod_with(
        "w-lost",
        "cache",
        "cache",
        json!({"terminationGracePeriodSeconds": 0, "volumes": [{"name": "v", "emptyDir": {}}]}),
    );
    let reply = world.run("w-lost", "drained", &json!({}));
    refused(
        &reply,
        "pods_would_be_lost",
        &["default/alone (force=true", "default/cache (delete_emptydir_data=true"],
    );
    assert!(
        world.get_node("w-lost").unwrap()["spec"]["unschedulable"].is_null(),
        "said before anything was done"
    );
    settled(
        world.run("w-lost", "drained", &json!({"force": true, "delete_emptydir_data": true})),
        true,
    );
}

#[test]
fn a_silent_node_is_given_up_only_when_it_is_said_to_be_off() {
    let world = World::new();
    world.worker("w-dead", LONG);
    world.pod_with("w-dead", "stuck", "stuck", json!({"terminationGracePeriodSeconds": 30}));
    refused(&world.run("w-dead", "drained", &json!({})), "node_blind", &["out_of_service=true"]);
    let call = world.call("w-dead", "drained", &json!({"out_of_service": true, "timeout": 60}));
    let drain = thread::spawn(move || call.run());
    let until = Instant::now() + Duration::from_secs(30);
    while !world.get_node("w-dead").unwrap()["spec"]["taints"]
        .to_string()
        .contains("out-of-service")
    {
        assert!(Instant::now() < until, "no taint");
        thread::sleep(Duration::from_millis(100));
    }
    // The garbage collector of the controller-manager ends the pods of a node that is out of service.
    world.api.kubectl(&["delete", "pod", "stuck", "--grace-period=0", "--force"], None).unwrap();
    settled(drain.join().unwrap(), true);
    settled(world.run("w-dead", "drained", &json!({"out_of_service": true})), false);
    settled(world.run("w-dead", "uncordoned", &json!({})), true);
    assert!(
        !world.get_node("w-dead").unwrap()["spec"]["taints"].to_string().contains("out-of-service")
    );
}

#[test]
fn ready_means_heard_of() {
    let world = World::new();
    world.worker("w-ready", LONG);
    refused(
        &world.run("w-ready", "ready", &json!({"timeout": 1})),
        "not_ready",
        &["it says that it is", "last heard of"],
    );
    world.hear("w-ready", NOW);
    settled(world.run("w-ready", "ready", &json!({})), false);
}

#[test]
fn a_node_goes_by_its_uid_and_its_finalizers_are_named() {
    let world = World::new();
    let uid = world.worker("w-gone", LONG)["metadata"]["uid"].clone();
    world
        .api
        .edit("/api/v1/nodes/w-gone", |node| {
            node["metadata"]["finalizers"] = json!(["wrangler.cattle.io/node"]);
        })
        .unwrap();
    settled(
        world.run("w-gone", "absent", &json!({"uid": "0b5f3c1e-0000-4000-8000-000000000000"})),
        false,
    );
    assert!(world.get_node("w-gone").unwrap()["metadata"]["deletionTimestamp"].is_null());
    refused(
        &world.run("w-gone", "absent", &json!({"uid": uid, "timeout": 2})),
        "finalizers",
        &["wrangler.cattle.io/node"],
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "w-gone.node-password.k3s"}, "stringData": {"hash": "x"}});
    world.api.create("/api/v1/namespaces/kube-system/secrets", &secret).unwrap();
    let call = world.call("w-gone", "absent", &json!({"uid": uid, "timeout": 60}));
    let going = thread::spawn(move || call.run());
    world
        .api
        .edit("/api/v1/nodes/w-gone", |node| node["metadata"]["finalizers"] = json!([]))
        .unwrap();
    let gone = settled(going.join().unwrap(), true);
    assert_eq!(gone["exists"], json!(false));
    assert!(
        world.api.get("/api/v1/namespaces/kube-system/secrets/w-gone.node-password.k3s").is_err()
    );
    settled(world.run("w-gone", "absent", &json!({"uid": uid})), false);
    settled(world.run("w-gone", "absent", &json!({})), false);
}

#[test]
fn a_node_that_is_replaced_meanwhile_is_left_alone() {
    let world = World::new();
    world.worker("w-replaced", LONG);
    world
        .api
        .edit("/api/v1/nodes/w-replaced", |node| {
            node["metadata"]["finalizers"] = json!(["example.com/x"]);
        })
        .unwrap();
    let call = world.call("w-replaced", "absent", &json!({"timeout": 60}));
    let going = thread::spawn(move || call.run());
    let until = Instant::now() + Duration::from_secs(30);
    while world.get_node("w-replaced").unwrap()["metadata"]["deletionTimestamp"].is_null() {
        assert!(Instant::now() < until, "not deleted");
        thread::sleep(Duration::from_millis(50));
    }
    // A kubelet that runs registers its Node again.
    let watch = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w-replaced"}});
    world
        .api
        .edit("/api/v1/nodes/w-replaced", |node| node["metadata"]["finalizers"] = json!([]))
        .unwrap();
    world.api.create("/api/v1/nodes", &watch).unwrap();
    let reply = going.join().unwrap();
    assert!(!reply.failed() || reply.refusal() == "registered_again", "{}", reply.json);
    assert!(world.get_node("w-replaced").unwrap()["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn the_control_plane_keeps_a_whole_node_and_a_member_goes_before_its_node() {
    let world = World::alone();
    let run = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let etcd = run.block_on(Etcd::start(1)).unwrap_or_else(|error| panic!("{error:#}"));
    let asked = |endpoint: String| json!({"etcd": {"endpoints": [endpoint], "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key()}});
    // The member is listed by this name; the other Node has none any more.
    let listed = etcd.name(0);
    world.control_plane(listed, NOW, true);
    world.control_plane("cp9", LONG, true);
    world.pod(listed, "web", "web");
    let reply = world.run(listed, "drained", &json!({}));
    refused(&reply, "last_control_plane", &["cp9: its kubelet was last heard of"]);
    refused(&world.run("cp9", "absent", &json!({})), "etcd_unknown", &["give the option etcd"]);
    refused(
        &world.run("cp9", "absent", &asked("https://127.0.0.1:1".into())),
        "etcd_unknown",
        &["127.0.0.1:1"],
    );

    world.hear("cp9", NOW);
    refused(&world.run(listed, "absent", &asked(etcd.url(0))), "member_listed", &[listed]);
    let checked = settled(world.call(listed, "drained", &json!({})).check().run(), true);
    assert_eq!(checked["pods"], json!([]));
    settled(world.run(listed, "drained", &json!({})), true);

    let gone = settled(world.run("cp9", "absent", &asked(etcd.url(0))), true);
    assert_eq!(gone["exists"], json!(false));
    assert!(world.get_node("cp9").is_none() && world.get_node(listed).is_some());
}

#[test]
fn a_lock_that_is_not_the_callers_stops_every_change() {
    let world = World::new();
    world.worker("w-locked", NOW);
    let reply = world.run("w-locked", "cordoned", &json!({"lock_holder": "nobody"}));
    refused(&reply, "lock_lost", &["no such lock"]);
    assert!(world.get_node("w-locked").unwrap()["spec"]["unschedulable"].is_null());
}

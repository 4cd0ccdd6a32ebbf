//! What is returned, of healthy and of broken clusters.

use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use testkit::{
    etcd::Etcd,
    module::{Call, Reply},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd_info");

fn ask(etcd: &Etcd, endpoints: &[usize], more: &Json) -> Reply {
    let mut args = json!({
        "endpoints": endpoints.iter().map(|at| etcd.url(*at)).collect::<Vec<_>>(),
        "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key(),
    });
    for (key, value) in more.as_object().unwrap() {
        args[key] = value.clone();
    }
    Call::new(PROGRAM, &args).run()
}

/// Asks until it is as expected, for elections take their time.
fn until(etcd: &Etcd, more: &Json, good: impl Fn(&Json) -> bool) -> Json {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let reply = ask(etcd, &[0, 1, 2], more);
        assert!(!reply.failed() && !reply.changed(), "{}", reply.json);
        if good(&reply.json) {
            return reply.json;
        }
        assert!(Instant::now() < end, "not within 40 s: {}", reply.json);
    }
}

fn proven(json: &Json) -> usize {
    json["members"].as_array().unwrap().iter().filter(|m| m["proven"] == true).count()
}

#[tokio::test]
async fn a_healthy_cluster_is_told_whole() {
    let etcd = Etcd::start(3).await.unwrap();
    let all = until(
        &etcd,
        &json!({"hashkv": true, "if": {"remove": "cp2", "then_rejoin": true}}),
        |json| proven(json) == 3,
    );
    assert_eq!(all["quorum"], json!({"voters": 3, "proven": 3, "needed": 2, "tolerates": 1}));
    assert_eq!(all["hashkv"]["equal"], true, "{all}");
    assert_eq!(all["hashkv"]["members"], 3);
    assert_eq!(all["alarms"], json!([]));
    let leaders = all["members"].as_array().unwrap().iter().filter(|m| m["is_leader"] == true);
    assert_eq!(leaders.map(|m| &m["id"]).collect::<Vec<_>>(), [&all["leader"]["id"]]);
    let first = &all["members"][0];
    let id: u64 = first["id_dec"].as_str().unwrap().parse().unwrap();
    assert_eq!(first["id"], format!("{id:x}"));
    assert!(first["version"].as_str().unwrap().starts_with("3.6."));
    assert!(
        first["db_size"].as_u64() > Some(0) && first["db_size_in_use"].as_u64() > Some(0),
        "{first}"
    );
    let gate = &all["gate"];
    assert!(gate["safe"] == true && gate["order"] == "stop_first", "{gate}");
    let path: Vec<&str> =
        gate["path"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
    assert!(
        path[0].starts_with("stop \"cp2\"")
            && path[1].starts_with("remove")
            && path[2] == "add a member",
        "{path:?}"
    );
    assert_eq!(all["sample"]["proven"].as_array().unwrap().len(), 3);
    assert_eq!(all["sample"]["cluster_id"], all["cluster_id"]);
}

#[tokio::test]
async fn what_is_missing_is_named_and_the_gate_is_asked_without_a_change() {
    let mut etcd = Etcd::start(3).await.unwrap();
    etcd.kill(1);
    let all = until(&etcd, &json!({"if": {"remove": "cp3"}}), |json| proven(json) == 2);
    let dead = &all["members"][1];
    assert!(
        dead["name"] == "cp2" && dead["missing"][0].as_str().unwrap().contains("refused"),
        "{dead}"
    );
    assert!(dead["version"].is_null() && all["quorum"]["tolerates"] == 0, "{all}");
    assert!(all["gate"]["safe"] == false && all["gate"]["code"] == "quorum", "{}", all["gate"]);
    let gate = |question: Json| ask(&etcd, &[0], &json!({"if": question})).json["gate"].clone();
    let dead = gate(json!({"remove": etcd.host(1), "target_runs": false, "then_rejoin": true}));
    assert!(dead["safe"] == true && dead["order"].is_null(), "{dead}");
    assert_eq!(gate(json!({"restart": "cp1"}))["code"], "quorum");
    assert_eq!(gate(json!({"start": "cp2"}))["safe"], true);
    assert_eq!(gate(json!({"add": true}))["code"], "add_refused");
    assert_eq!(gate(json!({"promote": "cp1"}))["code"], "not_a_learner");
    assert_eq!(gate(json!({"defragment": "cp9"}))["code"], "unknown_member");
    let nodes = ask(&etcd, &[0], &json!({"healthy_nodes": ["cp1"]})).json;
    assert!(nodes["quorum"]["proven"] == 1, "{nodes}");
}

#[tokio::test]
async fn without_a_quorum_what_is_left_is_told_and_without_anybody_it_fails() {
    let mut etcd = Etcd::start(3).await.unwrap();
    etcd.kill(1);
    etcd.kill(2);
    let all = until(&etcd, &json!({"if": {"remove": "cp2", "target_runs": false}}), |json| {
        json["linearizable"] == false
    });
    assert!(all["members"].as_array().unwrap().len() == 3 && proven(&all) == 0, "{all}");
    assert_eq!(all["gate"]["code"], "stale_list");
    etcd.kill(0);
    let none = ask(&etcd, &[0, 1, 2], &json!({}));
    assert!(
        none.failed()
            && none.msg().contains("no endpoint told the member list")
            && none.msg().contains("refused"),
        "{}",
        none.json
    );
}

#[test]
fn bad_questions_are_refused_as_ansible_would() {
    let of = |args: Json| Call::new(PROGRAM, &args).run().msg().to_owned();
    assert!(
        of(json!({"if": {}})).contains("one of the following is required"),
        "{}",
        of(json!({"if": {}}))
    );
    assert!(of(json!({"if": {"remove": "a", "stop": "b"}})).contains("mutually exclusive"));
    assert!(of(json!({"endpoints": "127.0.0.1:2379"})).contains("no URL such as"));
    assert!(of(json!({"endpoint": "http://127.0.0.1:1"})).contains("127.0.0.1:1"));
}

//! What is returned, of healthy and of broken clusters.

use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use testkit::{
    etcd::Etcd,
    module::{Call, Reply},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd_info");

pub fn ask(etcd: &Etcd, endpoints: &[usize], more: &Json) -> Reply {
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
    assert_eq!((&all["verdict"], &all["causes"]), (&json!("healthy"), &json!([])), "{all}");
    assert!(all["terms_agree"] == true && all["lists_agree"] == true && all["writable"] == true);
    for member in all["members"].as_array().unwrap() {
        assert_eq!(member["raft_lag"].as_array().unwrap().len(), 2, "two samples: {member}");
        assert!(member["fsync_p99_ms"].is_f64() && member["commit_p99_ms"].is_f64(), "{member}");
        assert!(member["clock_ahead_s"].as_i64().unwrap().abs() <= 1, "{member}");
        assert!(member["db_quota"].as_u64() > Some(0) && member["latency_ms"].is_u64(), "{member}");
    }
    assert!(all["local"].is_null() && all["unread"] == json!([]), "{all}");
    let plain = ask(&etcd, &[0], &json!({"metrics": false})).json;
    assert!(plain["members"][0]["fsync_p99_ms"].is_null() && plain["verdict"] == "healthy");
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
    assert!(all["verdict"] == "at_risk" && all["causes"][0]["code"] == "unreachable", "{all}");
    let way_out = all["causes"][0]["way_out"].as_str().unwrap();
    assert!(
        way_out.contains(&format!("id={}", all["members"][1]["id"].as_str().unwrap())),
        "{way_out}"
    );
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
    assert!(all["verdict"] == "quorum_lost" && all["writable"] == false, "{all}");
    assert!(all["causes"][0]["way_out"].as_str().unwrap().contains("etcd_recover"), "{all}");
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

#[tokio::test]
async fn keys_are_counted_by_ranges_and_none_is_loaded() {
    let etcd = Etcd::start(1).await.unwrap();
    let mut client = etcd.client(0).await.unwrap();
    for (kind, count) in [("longhorn.io/orphans/ns/", 120), ("pods/default/", 7), ("ranges", 1)] {
        for at in 0..count {
            let name = if count == 1 { String::new() } else { at.to_string() };
            client.put(format!("/registry/{kind}{name}"), "x".repeat(100), None).await.unwrap();
        }
    }
    client.put("compact_rev_key", "1", None).await.unwrap();
    let prefixes = json!(["/registry/", "", "/registry/longhorn.io/", "/none/"]);
    let keys = ask(&etcd, &[0], &json!({"count_keys": prefixes})).json["keys"].clone();
    let child = |prefix: &str, count: u64| json!({"prefix": prefix, "count": count});
    assert_eq!(keys[0]["count"], 128, "{keys}");
    assert_eq!(
        keys[0]["children"],
        json!([
            child("/registry/longhorn.io/", 120),
            child("/registry/pods/", 7),
            child("/registry/ranges", 1)
        ])
    );
    // the reading itself writes nothing: every other key is one put above
    assert_eq!(keys[1]["count"], 129, "{keys}");
    assert_eq!(keys[2]["children"], json!([child("/registry/longhorn.io/orphans/", 120)]));
    assert_eq!((&keys[3]["count"], &keys[3]["children"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn an_alarm_a_nameless_member_and_a_stuck_learner_are_causes() {
    let mut etcd = Etcd::start_with(3, &["--quota-backend-bytes=2097152"]).await.unwrap();
    until(&etcd, &json!({}), |json| proven(json) == 3);
    let end = Instant::now() + Duration::from_secs(30);
    let joining = loop {
        // etcd wants its connections to be five seconds old
        match etcd.add_unstarted(0, true).await {
            Ok(joining) => break joining,
            Err(error) => assert!(Instant::now() < end, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let code = |json: &Json, code: &str| {
        json["causes"].as_array().unwrap().iter().any(|cause| cause["code"] == code)
    };
    let added = until(&etcd, &json!({}), |json| code(json, "nameless_member"));
    assert_eq!(added["verdict"], "degraded", "{added}");
    etcd.start_added(joining).await.unwrap();
    until(&etcd, &json!({}), |json| code(json, "learner_stuck"));
    let mut client = etcd.client(0).await.unwrap();
    while client.put("fill", vec![b'x'; 500_000], None).await.is_ok() {}
    let full = until(&etcd, &json!({}), |json| code(json, "nospace"));
    assert!(full["writable"] == false && full["linearizable"] == true, "{full}");
    let cause = full["causes"].as_array().unwrap().iter().find(|c| c["code"] == "nospace").unwrap();
    assert!(cause["way_out"].as_str().unwrap().contains("etcd_maintenance"), "{cause}");
    assert_eq!(full["members"][0]["db_quota"], 2_097_152);
}

#[tokio::test]
async fn members_and_nodes_are_compared_where_a_kubeconfig_is_given() {
    let api = testkit::apiserver::Apiserver::shared().unwrap_or_else(|error| panic!("{error:#}"));
    let etcd = Etcd::start(1).await.unwrap();
    let reply = ask(&etcd, &[0], &json!({"kubeconfig": api.kubeconfig()})).json;
    assert!(reply["nodes"].is_object() && reply["unread"] == json!([]), "{reply}");
    let none = ask(&etcd, &[0], &json!({"kubeconfig": "/nonexistent/admin.conf"})).json;
    assert!(none["nodes"].is_null(), "{none}");
    assert!(none["unread"][0].as_str().unwrap().contains("/nonexistent/admin.conf"), "{none}");
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

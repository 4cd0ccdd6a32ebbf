//! The built module against real etcd.

use crate::world::{PROGRAM, Writer, args, call, file, fragment, leader, spawn};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::{
    etcd::Etcd,
    module::{Call, Reply},
};

fn steps(reply: &Reply) -> Vec<String> {
    let steps = reply.json["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().map(|step| step.as_str().unwrap_or_default().to_owned()).collect()
}

/// Names of the members in the order that they were defragmented in.
fn order(reply: &Reply) -> Vec<String> {
    let name = |step: &String| {
        step.strip_prefix("defragment \"")
            .and_then(|rest| rest.split('"').next())
            .map(str::to_owned)
    };
    steps(reply).iter().filter_map(name).collect()
}

#[tokio::test]
async fn every_file_shrinks_while_a_writer_goes_on_and_the_leader_is_last() {
    let etcd = Etcd::start(3).await.unwrap();
    fragment(&etcd, 48).await;
    let led = leader(&etcd, 0).await;
    let check = call(&etcd, &json!({})).check().run();
    assert!(check.changed() && !check.failed(), "{}", check.json);
    assert!(file(&etcd, 0).await.0 > 48 << 20, "check mode changes nothing");
    let writer = Writer::start(&etcd).await;
    // on a thread of its own: the writer lives on this one
    let run = call(&etcd, &json!({}));
    let reply = tokio::task::spawn_blocking(move || run.run()).await.unwrap();
    let (written, failed) = writer.end().await;
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert_eq!(order(&check), order(&reply), "check equals run");
    let list = etcd.client(0).await.unwrap().member_list().await.unwrap();
    let led = list.members().iter().find(|member| member.id() == led).unwrap().name().to_owned();
    assert_eq!(order(&reply).last(), Some(&led), "{}", reply.json);
    assert_eq!(order(&reply).len(), 3);
    for at in 0..3 {
        assert!(file(&etcd, at).await.0 < 8 << 20, "{:?}", file(&etcd, at).await);
    }
    let won = reply.json["bytes_won"].as_i64().unwrap();
    let stall = reply.json["longest_stall_ms"].as_u64().unwrap();
    println!("{} MiB won, longest stall {stall} ms, {written} puts, failed {failed:?}", won >> 20);
    println!("{}", reply.json["defragmented"]);
    assert!(won > 3 * (40 << 20));
    let slowest = reply.json["defragmented"].as_array().unwrap().iter();
    let slowest = slowest.map(|one| one["took_ms"].as_u64().unwrap()).max().unwrap();
    // a busy machine has pauses of its own
    assert!(stall <= 2 * slowest + 500, "a client of another member saw {stall} of {slowest} ms");
    assert!(failed.is_empty() && written > 100, "{written} {failed:?}");
    let mut client = etcd.client(1).await.unwrap();
    let kept = client.get("kept", None).await.unwrap();
    assert_eq!(kept.kvs()[0].value(), b"kept");
    let prefix = etcd_client::GetOptions::new().with_prefix().with_count_only();
    let all = client.get("written/", Some(prefix)).await.unwrap();
    assert_eq!(all.count(), i64::try_from(written).unwrap(), "every write that was acknowledged");
    let again = call(&etcd, &json!({})).run();
    assert!(!again.changed() && !again.failed(), "{}", again.json);
}

#[tokio::test]
async fn killed_anywhere_it_is_run_again() {
    let etcd = Etcd::start(3).await.unwrap();
    fragment(&etcd, 32).await;
    // before, while and after each of the first defragmentations
    for delay in [100, 1500, 5300, 5500, 6000, 8000] {
        let mut child = spawn(&etcd, &json!({}));
        let until = Instant::now() + Duration::from_millis(delay);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        _ = child.kill();
        child.wait().unwrap();
    }
    let reply = call(&etcd, &json!({})).run();
    assert!(!reply.failed(), "{}", reply.json);
    for at in 0..3 {
        assert!(file(&etcd, at).await.0 < 8 << 20, "{:?}", file(&etcd, at).await);
    }
    assert!(!call(&etcd, &json!({})).run().changed());
}

#[tokio::test]
async fn a_learner_a_dead_and_a_silent_member_stop_it() {
    let mut etcd = Etcd::start(3).await.unwrap();
    fragment(&etcd, 8).await;
    etcd.pause(2).unwrap();
    let begun = Instant::now();
    // it may be one that somebody defragments: it is waited for, and then given up
    let silent = call(&etcd, &json!({"timeout": 12})).run();
    assert!(silent.failed() && !silent.changed(), "{}", silent.json);
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    etcd.resume(2).unwrap();
    etcd.serves(2).await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while let Err(error) = etcd.add_unstarted(0, true).await {
        assert!(Instant::now() < until, "{error:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let learner = call(&etcd, &json!({"endpoints": [etcd.url(0)]})).run();
    assert_eq!(learner.refusal(), "join_in_flight", "{}", learner.json);
    let mut client = etcd.client(0).await.unwrap();
    let list = client.member_list().await.unwrap();
    let joining = list.members().iter().find(|member| member.is_learner()).unwrap().id();
    client.member_remove(joining).await.unwrap();
    etcd.kill(1);
    let dead = call(&etcd, &json!({"endpoints": [etcd.url(0), etcd.url(2)]})).run();
    assert!(dead.failed() && !dead.changed() && dead.refusal() == "quorum", "{}", dead.json);
    assert!(dead.msg().contains("cp2"), "{}", dead.msg());
    for at in [0, 2] {
        assert!(file(&etcd, at).await.0 > 8 << 20, "nothing was begun");
    }
}

#[tokio::test]
async fn history_is_compacted_to_a_revision_and_the_pages_won() {
    let etcd = Etcd::start(3).await.unwrap();
    let mut client = etcd.client(0).await.unwrap();
    let value = vec![7_u8; 256 << 10];
    for _ in 0..80 {
        client.put("often", value.clone(), None).await.unwrap();
    }
    let newest = client.put("last", "x", None).await.unwrap().header().unwrap().revision();
    let far = call(&etcd, &json!({"compact_revision": newest + 10})).run();
    assert_eq!(far.refusal(), "future_revision", "{}", far.json);
    // freed pages are counted by later commits: as everywhere, somebody writes
    let writer = Writer::start(&etcd).await;
    let run = call(&etcd, &json!({"compact_revision": newest}));
    let reply = tokio::task::spawn_blocking(move || run.run()).await.unwrap();
    writer.end().await;
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert_eq!(reply.json["compacted_revision"], json!(newest));
    assert_eq!(order(&reply).len(), 3, "{}", reply.json);
    for at in 0..3 {
        assert!(file(&etcd, at).await.0 < 4 << 20);
    }
    let again = call(&etcd, &json!({"compact_revision": newest})).run();
    assert!(!again.changed() && !again.failed(), "{}", again.json);
}

/// A Lease as kube-apiserver stores it, with nothing but its time.
fn lease(renewed: Duration) -> Vec<u8> {
    let sized = |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).unwrap()], body].concat();
    let mut time = vec![8];
    let mut left = renewed.as_secs();
    while left >= 0x80 {
        time.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    time.push(u8::try_from(left).unwrap());
    let lease = sized(0x12, &sized(0x22, &time));
    [b"k8s\0".to_vec(), sized(0x12, &lease)].concat()
}

#[tokio::test]
async fn history_is_compacted_by_the_age_that_leases_tell() {
    let etcd = Etcd::start(1).await.unwrap();
    let mut client = etcd.client(0).await.unwrap();
    let compact = json!({"compact_age": "10m", "defragment": false});
    let unknown = call(&etcd, &compact).run();
    assert_eq!(unknown.refusal(), "age_unknown", "{}", unknown.json);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut old = 0;
    // an hour of renewals, one a minute, with other writes in between
    for minute in (0..60).rev() {
        let renewed = now.checked_sub(Duration::from_mins(minute)).unwrap();
        let put = client.put("/registry/leases/kube-node-lease/cp1", lease(renewed), None).await;
        if minute == 10 {
            old = put.unwrap().header().unwrap().revision();
        }
        for _ in 0..3 {
            client.put("/registry/pods/x", "x", None).await.unwrap();
        }
    }
    let reply = call(&etcd, &compact).run();
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert_eq!(reply.json["compacted_revision"], json!(old + 3), "right before the ninth minute");
    let again = call(&etcd, &compact).run();
    assert!(!again.changed() && !again.failed(), "{}", again.json);
}

#[tokio::test]
async fn a_single_member_is_defragmented_only_where_downtime_is_meant() {
    let etcd = Etcd::start(1).await.unwrap();
    fragment(&etcd, 8).await;
    let refused = call(&etcd, &json!({})).run();
    assert_eq!(refused.refusal(), "downtime", "{}", refused.json);
    let disk = call(&etcd, &json!({"allow_unknown_disk": false, "allow_downtime": true})).run();
    assert_eq!(disk.refusal(), "disk_unknown", "{}", disk.json);
    let full = json!({"free_disk": {"cp1": "1M"}, "allow_downtime": true});
    assert_eq!(call(&etcd, &full).run().refusal(), "disk_full");
    let reply = call(&etcd, &json!({"free_disk": {"cp1": "1G"}, "allow_downtime": true})).run();
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert!(file(&etcd, 0).await.0 < 4 << 20);
    assert_eq!(reply.json["longest_stall_ms"], Json::Null, "nobody else could be asked");
}

#[test]
fn arguments_are_judged_before_anything_is_asked() {
    let msg = |args: Json| Call::new(PROGRAM, &args).run().msg().to_owned();
    assert!(msg(json!({"when_fragmented": 30})).contains("between 0 and 1"));
    assert!(msg(json!({"compact_revision": 5, "compact_age": 5})).contains("mutually exclusive"));
    assert!(msg(json!({"free_disk": {"cp1": "much"}})).contains("free_disk of \"cp1\""));
    assert!(msg(json!({"endpoints": ["10.0.0.1"]})).contains("is no URL"));
}

#[tokio::test]
async fn no_space_is_disarmed_after_the_space_is_won() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let _members: Vec<_> = crate::quota::relaunch_all(&mut etcd, 24 << 20).await;
    let mut client = etcd.client(0).await.unwrap();
    let value = vec![7_u8; 1 << 20];
    let until = Instant::now() + Duration::from_secs(60);
    let mut at = 0;
    // until the quota is full
    let full = loop {
        at += 1;
        match client.put(format!("bulk/{at:05}"), value.clone(), None).await {
            Ok(_) => assert!(Instant::now() < until && at < 200, "the quota was never full"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(full.contains("database space exceeded"), "{full}");
    let nothing = call(&etcd, &json!({"defragment": false})).run();
    assert_eq!(nothing.refusal(), "nothing_to_win", "{}", nothing.json);
    let all = etcd_client::DeleteOptions::new().with_prefix();
    let deleted = client.delete("bulk/", Some(all)).await.unwrap();
    let revision = deleted.header().unwrap().revision();
    let reply = call(&etcd, &json!({"compact_revision": revision})).run();
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    let said = steps(&reply);
    let first_disarm = said.iter().position(|step| step.starts_with("disarm alarm NOSPACE"));
    let last_defragment = said.iter().rposition(|step| step.starts_with("defragment"));
    assert!(first_disarm > last_defragment && last_defragment.is_some(), "{said:?}");
    assert_eq!(reply.json["alarms"], json!([]));
    client.put("again", "writable", None).await.unwrap();
    assert!(!args(&etcd, &json!({})).is_null());
}

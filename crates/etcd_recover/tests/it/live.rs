//! The built module on the data of real etcd.

use crate::world::{
    PROGRAM, call, confirm, count, forced, lost, must, serves, spawn, survey, write,
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    time::{Duration, Instant},
};
use testkit::{etcd::Etcd, module::Call};

#[tokio::test]
async fn the_best_survivor_is_recovered_with_all_it_holds_and_old_voters_stay_down() {
    let mut etcd = lost().await;
    let (cp1, cp2, cp3) = (survey(&etcd, 0), survey(&etcd, 1), survey(&etcd, 2));
    println!("{cp2}\n{cp3}");
    assert!(cp2["last_index"].as_u64() > cp3["last_index"].as_u64());
    assert_eq!((&cp1["has_data"], &cp2["voters"].as_array().unwrap().len()), (&json!(false), &3));
    let recover = |at: usize, more: Json| {
        let mut args = json!({"state": "recovered", "others_stopped": ["cp1"]});
        for (key, value) in more.as_object().unwrap() {
            args[key] = value.clone();
        }
        call(&etcd, at, &args)
    };
    let none = recover(1, json!({})).run();
    assert!(none.failed() && none.msg().contains("confirm"), "{}", none.json);
    let wrong = recover(1, json!({"confirm": confirm(&cp3), "surveys": [cp3.clone()]})).run();
    assert_eq!(wrong.refusal(), "not_confirmed", "{}", wrong.json);
    let open = recover(1, json!({"confirm": confirm(&cp2), "surveys": [cp3.clone()]})).run();
    assert_eq!(open.refusal(), "not_fenced", "{}", open.json);
    let alone = recover(1, json!({"confirm": confirm(&cp2)})).run();
    assert_eq!(alone.refusal(), "not_fenced", "one of two others is named: {}", alone.json);
    let older = json!({"confirm": confirm(&cp3), "surveys": [cp2.clone()], "others_stopped": ["cp1", "cp2"]});
    let older = recover(2, older).run();
    assert_eq!(older.refusal(), "older_survivor", "{}", older.json);
    assert!(older.msg().contains("recover on \"cp2\""), "{}", older.msg());
    // the other one is fenced, and says so
    let fence = call(&etcd, 2, &json!({"state": "fenced", "confirm": confirm(&cp3)}));
    assert!(must(&fence.run()).changed() && !must(&fence.run()).changed());
    let cp3 = survey(&etcd, 2);
    assert_eq!((&cp3["fenced"], &cp3["has_data"]), (&json!(true), &json!(true)), "{cp3}");
    let args = json!({"confirm": confirm(&cp2), "surveys": [cp1, cp3]});
    let check = recover(1, args.clone()).check().run();
    assert!(must(&check).changed() && survey(&etcd, 1) == cp2, "check mode changes nothing");
    let reply = recover(1, args.clone()).run();
    assert!(must(&reply).changed(), "{}", reply.json);
    println!("{}\n{}", reply.json["steps"], reply.json["next"]);
    assert_eq!(reply.json["steps"], check.json["steps"]);
    let backup = fs::read_dir(reply.json["backup"].as_str().unwrap()).unwrap().count();
    assert_eq!((&reply.json["recovered"], backup), (&json!(true), 1));
    assert!(!must(&recover(1, args.clone()).run()).changed(), "before it is started");
    etcd.restart(1).unwrap();
    etcd.serves(1).await.unwrap();
    assert_eq!(count(&etcd, 1).await, 300, "every write that was acknowledged");
    let list = etcd.client(1).await.unwrap().member_list().await.unwrap();
    assert_eq!(list.members().iter().map(etcd_client::Member::name).collect::<Vec<_>>(), ["cp2"]);
    write(&etcd, 1, 300..310).await;
    let recover = json!({"state": "recovered", "others_stopped": ["cp1"], "confirm": args["confirm"], "surveys": args["surveys"]});
    assert!(!must(&call(&etcd, 1, &recover).run()).changed(), "while it serves");
    // the survivor is down, and both old voters are powered on: one has nothing, the other nothing where it looks for it
    etcd.kill(1);
    for old in [0, 2] {
        etcd.restart(old).unwrap();
    }
    let (first, third) = tokio::join!(
        serves(&etcd, 0, Duration::from_secs(8)),
        serves(&etcd, 2, Duration::from_secs(8))
    );
    assert!(!first && !third, "two old voters would hold the old quorum");
}

#[tokio::test]
async fn killed_in_the_middle_it_is_run_again() {
    let mut etcd = lost().await;
    let cp2 = survey(&etcd, 1);
    let recover =
        json!({"state": "recovered", "confirm": confirm(&cp2), "others_stopped": ["cp1", "cp3"]});
    for delay in [20, 60, 120, 250, 400, 700, 1000] {
        let mut child = spawn(&etcd, 1, &recover);
        let until = Instant::now() + Duration::from_millis(delay);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        _ = child.kill();
        child.wait().unwrap();
        println!("killed after {delay} ms: {}", survey(&etcd, 1));
    }
    // and right in the forced run, as soon as it is there and a little later
    for delay in [0, 50, 300, 500] {
        let mut child = spawn(&etcd, 1, &recover);
        let until = Instant::now() + Duration::from_secs(60);
        while !forced(&etcd, 1) && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "etcd was not forced");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(delay)).await;
        _ = child.kill();
        child.wait().unwrap();
        println!("killed {delay} ms into the forced run: {}", survey(&etcd, 1));
    }
    must(&call(&etcd, 1, &recover).run());
    assert!(!must(&call(&etcd, 1, &recover).run()).changed());
    assert!(!forced(&etcd, 1), "nothing is left of it");
    assert_eq!(survey(&etcd, 1)["voters"].as_array().unwrap().len(), 1);
    etcd.restart(1).unwrap();
    etcd.serves(1).await.unwrap();
    assert_eq!(count(&etcd, 1).await, 300, "every write that was acknowledged");
}

#[tokio::test]
async fn nothing_is_recovered_or_fenced_while_there_is_a_quorum() {
    let etcd = Etcd::start(3).await.unwrap();
    let all: Vec<Json> = (0..3).map(|at| survey(&etcd, at)).collect();
    assert!(all.iter().all(|one| one["running"] == json!(true) && one["fenced"] == json!(false)));
    let args = json!({"state": "recovered", "confirm": confirm(&all[0]), "others_stopped": ["cp2", "cp3"]});
    assert_eq!(call(&etcd, 0, &args).run().refusal(), "has_quorum");
    let args = json!({"state": "fenced", "confirm": confirm(&all[0])});
    assert_eq!(call(&etcd, 0, &args).run().refusal(), "has_quorum");
}

#[tokio::test]
async fn a_running_survivor_without_a_quorum_and_one_that_is_damaged_are_refused() {
    let mut etcd = Etcd::start(3).await.unwrap();
    write(&etcd, 0, 0..10).await;
    etcd.kill(1);
    etcd.kill(2);
    let cp1 = survey(&etcd, 0);
    let args =
        json!({"state": "recovered", "confirm": confirm(&cp1), "others_stopped": ["cp2", "cp3"]});
    let running = call(&etcd, 0, &args).run();
    assert_eq!(running.refusal(), "running", "neither unit nor manifest: {}", running.json);
    etcd.kill(0);
    let dir = etcd.data_dir(0).join("member/wal");
    let segment = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let segment =
        segment.filter(|path| path.extension().is_some_and(|end| end == "wal")).max().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(9).position(|window| window == b"key/00003").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let damaged = call(&etcd, 0, &args).run();
    assert_eq!(damaged.refusal(), "damaged", "{}", damaged.json);
}

#[tokio::test]
async fn a_snapshot_is_restored_where_no_log_is_whole() {
    let mut etcd = Etcd::start(3).await.unwrap();
    write(&etcd, 0, 0..50).await;
    let mut stream = etcd.client(0).await.unwrap().snapshot().await.unwrap();
    let mut bytes = vec![];
    while let Some(part) = stream.message().await.unwrap() {
        bytes.extend_from_slice(part.blob());
    }
    let file = etcd.root().join("snapshot.db");
    fs::write(&file, &bytes).unwrap();
    write(&etcd, 0, 50..60).await;
    (0..3).for_each(|at| etcd.kill(at));
    let cp1 = survey(&etcd, 0);
    let args = json!({
        "state": "recovered", "confirm": confirm(&cp1), "others_stopped": ["cp2", "cp3"],
        "snapshot": file, "peer_url": etcd.peer_url(0), "etcdutl": artefacts::etcdutl().unwrap(),
    });
    let mut cut = args.clone();
    fs::write(etcd.root().join("cut.db"), &bytes[..bytes.len() / 2]).unwrap();
    cut["snapshot"] = json!(etcd.root().join("cut.db"));
    let failed = call(&etcd, 0, &cut).run();
    assert!(
        failed.failed() && survey(&etcd, 0)["cluster_id"] == cp1["cluster_id"],
        "{}",
        failed.json
    );
    let reply = call(&etcd, 0, &args).run();
    assert!(must(&reply).changed() && reply.json["recovered"] == json!(true), "{}", reply.json);
    assert!(!must(&call(&etcd, 0, &args).run()).changed());
    etcd.restart(0).unwrap();
    etcd.serves(0).await.unwrap();
    assert_eq!(count(&etcd, 0).await, 50, "what the snapshot held");
    let mut client = etcd.client(0).await.unwrap();
    let revision = client.get("x", None).await.unwrap().header().unwrap().revision();
    assert!(revision > 1_000_000_000, "revisions do not go back: {revision}");
    let past = etcd_client::GetOptions::new().with_revision(revision - 5);
    assert!(client.get("x", Some(past)).await.unwrap_err().to_string().contains("compacted"));
    assert!(!must(&call(&etcd, 0, &args).run()).changed());
}

#[test]
fn arguments_are_judged_before_anything_is_looked_at() {
    let msg = |args: Json| Call::new(PROGRAM, &args).run().msg().to_owned();
    assert!(msg(json!({"state": "recovered"})).contains("confirm"));
    assert!(msg(json!({"data_dir": "etcd"})).contains("absolute"));
    assert!(
        msg(json!({"data_dir": "/d", "backup_dir": "/d/b"})).contains("lies in the data directory")
    );
    assert!(msg(json!({"surveys": [{"member_id": 5}]})).contains("surveys[0]"));
}

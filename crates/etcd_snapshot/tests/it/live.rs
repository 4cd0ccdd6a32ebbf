//! Against real etcd clusters, through the built program.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use etcd_cluster::{Access, Cluster, MemberId};
use serde_json::{Value, json};
use testkit::etcd::Etcd;
use testkit::module::{Call, Reply};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd_snapshot");

pub fn args(etcd: &Etcd, dest: &Path, more: &Value) -> Value {
    let mut args = json!({
        "endpoints": etcd.endpoints(), "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key(),
        "dest": dest,
    });
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    args
}

pub fn call(etcd: &Etcd, dest: &Path, more: &Value) -> Call {
    Call::new(PROGRAM, &args(etcd, dest, more))
}

pub fn verified(path: &Path) -> Reply {
    Call::new(PROGRAM, &json!({"state": "verified", "path": path})).run()
}

pub fn names(dest: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dest)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn ending(dest: &Path, end: &str) -> Vec<String> {
    names(dest).into_iter().filter(|name| name.strip_suffix(end).is_some()).collect()
}

pub fn path(reply: &Reply) -> PathBuf {
    reply.json["path"].as_str().unwrap_or_else(|| panic!("{reply:?}")).into()
}

pub async fn fill(etcd: &Etcd, keys: usize, size: usize) {
    let mut client = etcd.client(0).await.unwrap();
    for key in 0..keys {
        client.put(format!("key-{key}"), vec![b'x'; size], None).await.unwrap();
    }
}

/// Id of the leader, and of every member by its place.
async fn members(etcd: &Etcd) -> (MemberId, Vec<MemberId>) {
    let mut ids = vec![];
    let mut leader = 0;
    for url in etcd.endpoints() {
        let files = [Some(etcd.ca_cert()), Some(etcd.client_cert()), Some(etcd.client_key())];
        let access = Access::for_endpoints(std::slice::from_ref(&url), &files).unwrap();
        let status =
            Cluster::new(access, &[]).connection(&url).await.unwrap().status().await.unwrap();
        ids.push(status.member_id);
        leader = status.leader.0;
    }
    (MemberId(leader), ids)
}

#[tokio::test]
async fn a_snapshot_is_whole_private_and_restorable() {
    let etcd = Etcd::start(3).await.unwrap();
    fill(&etcd, 50, 10_000).await;
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("made/on/the/way");
    let check = call(&etcd, &dest, &json!({})).check().run();
    assert!(check.changed() && !dest.exists(), "{check:?}");
    let reply = call(&etcd, &dest, &json!({})).run();
    assert!(reply.changed() && !reply.failed(), "{reply:?}");
    let file = path(&reply);
    let about = fs::metadata(&file).unwrap();
    assert_eq!((about.mode() & 0o7777, about.len()), (0o600, reply.json["size"].as_u64().unwrap()));
    assert_eq!(fs::metadata(&dest).unwrap().mode() & 0o7777, 0o700);
    let sum = Command::new("sha256sum").arg(&file).output().unwrap();
    assert!(
        String::from_utf8_lossy(&sum.stdout).starts_with(reply.json["sha256"].as_str().unwrap()),
        "what sha256sum shows"
    );
    let (leader, _) = members(&etcd).await;
    assert_ne!(reply.json["member_id"], json!(leader.to_string()), "from a follower");
    assert!(reply.json["revision"].as_i64().unwrap() >= 51, "{reply:?}");
    // With etcd's own eyes.
    let status = Command::new(artefacts::etcdutl().unwrap())
        .args(["snapshot", "status", "-w", "json"])
        .arg(&file)
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(
        status["totalKey"].as_u64().unwrap() >= 50 && status["revision"] == reply.json["revision"],
        "{status}"
    );
    let restored = Command::new(artefacts::etcdutl().unwrap())
        .args(["snapshot", "restore", "--data-dir"])
        .arg(dir.path().join("restored"))
        .arg(&file)
        .output()
        .unwrap();
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(verified(&file).json["sha256"], reply.json["sha256"]);
    let beside: Value =
        serde_json::from_slice(&fs::read(format!("{}.json", file.display())).unwrap()).unwrap();
    assert_eq!(
        (&beside["sha256"], &beside["member_id"]),
        (&reply.json["sha256"], &reply.json["member_id"])
    );
}

#[tokio::test]
async fn a_young_one_is_enough_and_old_ones_of_ours_alone_are_deleted() {
    let etcd = Etcd::start(1).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path();
    let first = call(&etcd, dest, &json!({})).run();
    assert!(first.changed());
    let young = call(&etcd, dest, &json!({"max_age": "1h"}));
    let (check, run) = (young.clone().check().run(), young.run());
    assert!(
        !check.changed() && !run.changed() && run.json["path"] == first.json["path"],
        "{run:?}"
    );
    assert_eq!(
        (&run.json["sha256"], &run.json["revision"]),
        (&first.json["sha256"], &first.json["revision"])
    );
    let taken = first.json["taken_at"].as_str().unwrap();
    assert!(!call(&etcd, dest, &json!({"newer_than": taken})).run().changed());
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(
        call(&etcd, dest, &json!({"newer_than": now.to_string()})).run().changed(),
        "the other one is from before"
    );
    assert!(
        call(&etcd, dest, &json!({"newer_than": (now + 3600.0).to_string()})).run().changed(),
        "a clock ahead is no endless loop"
    );
    // Theirs, and what looks like ours and is none.
    let (mine, cluster) = (path(&first), first.json["cluster_id"].as_str().unwrap());
    let other = dest.join(format!("etcd-{}-20200101T000000.000Z.db", "feed"));
    fs::copy(&mine, &other).unwrap();
    let torn = dest.join(format!("etcd-{cluster}-20200101T000000.000Z.db"));
    fs::write(&torn, &fs::read(&mine).unwrap()[..4096 + 32]).unwrap();
    fs::copy(&mine, dest.join("snapshot.db")).unwrap();
    let linked = dest.join(format!("etcd-{cluster}-20200102T000000.000Z.db"));
    symlink(&mine, &linked).unwrap();
    let reply = call(&etcd, dest, &json!({"keep": 2})).run();
    assert!(reply.changed() && !reply.failed(), "{reply:?}");
    assert_eq!(
        reply.json["steps"].as_array().unwrap().len(),
        3,
        "one saved, two deleted: {reply:?}"
    );
    assert!(
        !mine.exists() && path(&reply).exists(),
        "the oldest of ours went, with what was beside it: {:?}",
        names(dest)
    );
    assert!(
        other.exists()
            && torn.exists()
            && dest.join("snapshot.db").exists()
            && fs::symlink_metadata(&linked).is_ok()
    );
    let valid = ending(dest, ".json").len();
    assert_eq!(valid, 2, "{:?}", names(dest));
    let warnings = reply.json["warnings"].to_string();
    assert!(
        warnings.contains("20200101T000000") && warnings.contains("not counted and not deleted"),
        "{warnings}"
    );
}

#[tokio::test]
async fn one_flipped_bit_and_a_cut_are_seen() {
    let etcd = Etcd::start(1).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = path(&call(&etcd, dir.path(), &json!({})).run());
    let whole = fs::read(&file).unwrap();
    for (at, cut) in [
        (0, whole.len()),
        (whole.len() / 2, whole.len()),
        (whole.len() - 1, whole.len()),
        (0, whole.len() - 512),
        (0, whole.len() - 1),
        (0, 0),
    ] {
        let mut bytes = whole.get(..cut).unwrap().to_vec();
        if cut == whole.len() {
            bytes[at] ^= 1;
        }
        fs::write(&file, bytes).unwrap();
        let reply = verified(&file);
        assert_eq!((reply.refusal(), reply.changed()), ("invalid", false), "{at} {cut}: {reply:?}");
        assert!(
            call(&etcd, dir.path(), &json!({"max_age": "1h"})).clone().check().run().changed(),
            "it is not young, it is nothing"
        );
    }
    fs::write(&file, whole).unwrap();
    assert!(!verified(&file).failed());
    assert_eq!(verified(&dir.path().join("none.db")).refusal(), "missing");
}

#[tokio::test]
async fn a_member_that_is_no_good_is_not_asked() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The leader and one dead member: the follower that is left.
    let (leader, ids) = members(&etcd).await;
    let dead = ids.iter().position(|id| *id != leader).unwrap();
    etcd.kill(dead);
    let reply = call(&etcd, dir.path(), &json!({})).run();
    let last = ids.iter().position(|id| *id != leader && *id != ids[dead]).unwrap();
    assert_eq!(
        (reply.failed(), &reply.json["member_id"]),
        (false, &json!(ids[last].to_string())),
        "{reply:?}"
    );
    // Without a quorum nothing proves whose data is right.
    etcd.kill(last);
    let reply = call(&etcd, dir.path(), &json!({})).run();
    assert_eq!((reply.refusal(), reply.changed()), ("no_proven_member", false), "{reply:?}");
}

#[tokio::test]
async fn a_learner_is_not_asked() {
    let mut etcd = Etcd::start(1).await.unwrap();
    let learner = etcd.add_unstarted(0, true).await.unwrap();
    etcd.start_added(learner).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let reply =
        call(&etcd, dir.path(), &json!({"endpoints": [etcd.url(learner), etcd.url(0)]})).run();
    let (leader, _) = members_of_one(&etcd).await;
    assert_eq!(
        (reply.failed(), &reply.json["member_id"]),
        (false, &json!(leader.to_string())),
        "the only voter leads: {reply:?}"
    );
    etcd.kill(0);
    let reply =
        call(&etcd, dir.path(), &json!({"endpoints": [etcd.url(learner), etcd.url(0)]})).run();
    assert!(reply.failed() && !reply.changed(), "{reply:?}");
}

async fn members_of_one(etcd: &Etcd) -> (MemberId, MemberId) {
    let status = etcd.client(0).await.unwrap().status().await.unwrap();
    (MemberId(status.leader()), MemberId(status.header().unwrap().member_id()))
}

#[tokio::test]
async fn a_member_of_other_data_is_not_asked() {
    let mut etcd = Etcd::start(3).await.unwrap();
    fill(&etcd, 10, 100).await;
    let (leader, ids) = members(&etcd).await;
    let followers: Vec<usize> = (0..3).filter(|at| ids[*at] != leader).collect();
    // Another value under the same key and revision, in its file alone, once it is there.
    let (from, to) = ([b'x'; 100], [b'y'; 100]);
    let db = etcd.data_dir(followers[0]).join("member/snap/db");
    let places = |bytes: &[u8]| {
        (0..bytes.len() - 100).filter(|at| bytes[*at..*at + 100] == from).collect::<Vec<_>>()
    };
    let end = Instant::now() + Duration::from_secs(10);
    while places(&fs::read(&db).unwrap()).len() < 10 {
        assert!(Instant::now() < end, "the values did not come to the file");
    }
    etcd.kill(followers[0]);
    let mut bytes = fs::read(&db).unwrap();
    for at in places(&bytes) {
        bytes[at..at + 100].copy_from_slice(&to);
    }
    fs::write(&db, bytes).unwrap();
    etcd.restart(followers[0]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let serves = etcd.serves(followers[0]).await;
    let reply = call(&etcd, dir.path(), &json!({})).run();
    assert!(
        !reply.failed() && reply.json["member_id"] == json!(ids[followers[1]].to_string()),
        "{serves:?} {reply:?}"
    );
    etcd.kill(followers[1]);
    if serves.is_ok() {
        let reply = call(&etcd, dir.path(), &json!({})).run();
        assert!(
            ["hashes_differ", "corrupt", "no_proven_member"].contains(&reply.refusal()),
            "two voters that differ: {reply:?}"
        );
    }
}

#[tokio::test]
async fn an_open_directory_is_warned_about() {
    let etcd = Etcd::start(1).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let reply = call(&etcd, dir.path(), &json!({})).run();
    assert!(reply.json["warnings"].to_string().contains("writable for others"), "{reply:?}");
}

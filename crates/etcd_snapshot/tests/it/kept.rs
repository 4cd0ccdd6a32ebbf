//! What is known beside a snapshot, what a directory holds, and what a large one costs.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::etcd::Etcd;
use testkit::module::{Call, Reply};

use crate::live::{PROGRAM, args, call, ending, fill, names, path, verified};

fn offline(args: &Value) -> Reply {
    Call::new(PROGRAM, args).run()
}

#[tokio::test]
async fn what_a_restore_has_to_know_lies_beside_the_file() {
    let etcd = Etcd::start(3).await.unwrap();
    fill(&etcd, 20, 1000).await;
    let mut client = etcd.client(0).await.unwrap();
    // as k3s keeps it: 12 digits of the token's hash, and what is encrypted with the token
    client.put("/bootstrap/5e884898da28", "sealed", None).await.unwrap();
    client.put("/bootstrap/other", "no fingerprint", None).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let reply = call(&etcd, dir.path(), &json!({})).run();
    let text = fs::read_to_string(format!("{}.json", path(&reply).display())).unwrap();
    let about: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(about["k3s_token_fingerprints"], json!(["5e884898da28"]), "{about}");
    let members = about["members"].as_array().unwrap();
    assert_eq!(members.len(), 3, "{about}");
    for member in members {
        assert!(member["version"].as_str().unwrap().starts_with("3.6."), "{member}");
        assert!(member["peer_urls"][0].as_str().unwrap().ends_with(":2380"), "{member}");
    }
    let (low, high) =
        (about["revision"].as_i64().unwrap(), about["revision_at_most"].as_i64().unwrap());
    let hashed = about["hashkv"]["revision"].as_i64().unwrap();
    assert!(low <= high && hashed > 0 && hashed <= high, "{about}");
    assert_eq!(about["sha256"], reply.json["sha256"]);
    assert!(!text.contains("sealed") && !reply.json.to_string().contains("sealed"));
    let file = &reply.json["files"][0];
    assert_eq!(
        (&file["validity"], &file["members"]),
        (&json!("valid"), &json!(["cp1", "cp2", "cp3"]))
    );
}

#[tokio::test]
async fn directories_are_listed_and_pruned_without_a_cluster() {
    let (one, two) = (Etcd::start(1).await.unwrap(), Etcd::start(1).await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path();
    let mut clusters = vec![];
    for etcd in [&one, &one, &one, &two] {
        let reply = call(etcd, dest, &json!({})).run();
        assert!(reply.changed() && !reply.failed(), "{reply:?}");
        clusters.push(reply.json["cluster_id"].clone());
    }
    drop((one, two));
    fs::write(dest.join("notes.db"), "not ours").unwrap();
    let newest =
        ending(dest, ".db").into_iter().filter(|name| name.starts_with("etcd-")).max().unwrap();
    let list = |verify: bool| offline(&json!({"state": "listed", "dest": dest, "verify": verify}));
    let quick = list(false);
    let files = quick.json["files"].as_array().unwrap();
    assert!(!quick.changed() && files.len() == 4, "{quick:?}");
    assert!(
        files.iter().all(|file| file["validity"] == "unread" && file["revision"].is_i64()),
        "{quick:?}"
    );
    assert!(quick.json["path"].is_null(), "what was not read is not offered: {quick:?}");
    // one bit
    let bad = dest.join(&newest);
    let mut bytes = fs::read(&bad).unwrap();
    bytes[5000] ^= 1;
    fs::write(&bad, bytes).unwrap();
    let read = list(true);
    let of = |name: &str| {
        let all = read.json["files"].as_array().unwrap();
        all.iter().find(|file| file["name"] == name).unwrap()["validity"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(of(&newest).contains("hash at its end"), "{read:?}");
    assert!(read.json["warnings"].to_string().contains(&newest), "{read:?}");
    let prune = Call::new(PROGRAM, &json!({"state": "pruned", "dest": dest, "keep": 1}));
    let check = prune.clone().check().run();
    assert!(check.changed() && names(dest).contains(&newest), "{check:?}");
    let pruned = prune.run();
    assert!(pruned.changed() && !pruned.failed(), "{pruned:?}");
    assert_eq!(pruned.json["files"], check.json["files"], "check equals run");
    // one whole file of each cluster that has one, the bad one, which nobody counts, and what is not ours
    let left = names(dest);
    assert!(left.contains(&"notes.db".to_owned()) && left.contains(&newest), "{left:?}");
    for name in
        ending(dest, ".db").iter().filter(|name| name.starts_with("etcd-") && **name != newest)
    {
        assert!(!verified(&dest.join(name)).failed(), "{name}");
    }
    assert!(
        !Call::new(PROGRAM, &json!({"state": "pruned", "dest": dest, "keep": 1})).run().changed()
    );
    assert!(offline(&json!({"state": "pruned", "dest": dest})).msg().contains("keep"));
    let missing = offline(&json!({"state": "listed", "dest": dest.join("none")}));
    assert!(!missing.failed() && missing.json["files"] == json!([]), "{missing:?}");
}

/// Resident memory at its highest, in KiB, while the program runs; and how long that took.
fn measured(request: &std::path::Path) -> (u64, Duration) {
    let begun = Instant::now();
    let mut child = Command::new(PROGRAM).arg(request).stdout(Stdio::null()).spawn().unwrap();
    let mut highest = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        highest = highest.max(now.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    (highest, begun.elapsed())
}

#[tokio::test]
async fn a_large_database_costs_no_memory() {
    let etcd = Etcd::start(1).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (request, small) = (dir.path().join("request"), dir.path().join("small"));
    fs::write(&request, args(&etcd, &small, &json!({})).to_string()).unwrap();
    // what the program takes for itself, which in a build for tests is more than in the one that ships
    let (itself, _) = measured(&request);
    fill(&etcd, 300, 1_000_000).await;
    let large = dir.path().join("large");
    fs::write(&request, args(&etcd, &large, &json!({"compare_hashes": false})).to_string())
        .unwrap();
    let (all, took) = measured(&request);
    let file = large.join(&ending(&large, ".db")[0]);
    let bytes = fs::metadata(&file).unwrap().len();
    fs::write(&request, json!({"state": "verified", "path": file}).to_string()).unwrap();
    let (verify, _) = measured(&request);
    eprintln!(
        "{} MB: {itself} KiB for an empty database, {all} KiB for this in {:.1} s, {verify} KiB to verify",
        bytes / 1_000_000,
        took.as_secs_f64()
    );
    assert!(bytes > 300_000_000, "{bytes}");
    assert!(
        all < itself + 8 * 1024 && all < 40 * 1024,
        "{itself} KiB for itself, {all} KiB for {bytes} bytes"
    );
    assert!(verify < 20 * 1024, "{verify} KiB");
}

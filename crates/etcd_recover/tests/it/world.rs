//! Calls of the built module as on the host of one member, and what its cluster does meanwhile.

use serde_json::{Value as Json, json};
use std::{
    io::Write,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use testkit::{
    etcd::Etcd,
    module::{Call, Reply},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd_recover");

fn args(etcd: &Etcd, at: usize, more: &Json) -> Json {
    let host = etcd.root().join(format!("host-{}", etcd.name(at)));
    let mut args = json!({
        "name": etcd.name(at), "data_dir": etcd.data_dir(at), "backup_dir": host.join("backup"),
        "pki": [etcd.root().join("etc/kubernetes/pki")], "manifest": host.join("manifests/etcd.yaml"),
        "etcd": artefacts::etcd().unwrap(), "endpoints": [etcd.url(at)],
        "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key(),
    });
    for (key, value) in more.as_object().unwrap() {
        args[key] = value.clone();
    }
    args
}

pub fn call(etcd: &Etcd, at: usize, more: &Json) -> Call {
    Call::new(PROGRAM, &args(etcd, at, more))
}

pub fn survey(etcd: &Etcd, at: usize) -> Json {
    let reply = call(etcd, at, &json!({})).run();
    assert!(!reply.failed() && !reply.changed(), "{}", reply.json);
    reply.json["survey"].clone()
}

pub fn confirm(survey: &Json) -> String {
    let word = |key: &str| survey[key].as_str().unwrap().to_owned();
    format!("{} {}", word("cluster_id"), word("name"))
}

pub fn spawn(etcd: &Etcd, at: usize, more: &Json) -> Child {
    let mut child =
        Command::new(PROGRAM).arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let request = args(etcd, at, more).to_string();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    child
}

/// Whether an etcd runs with the flag on the data of a member.
pub fn forced(etcd: &Etcd, at: usize) -> bool {
    let dir = etcd.data_dir(at).to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let mut lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.any(|line| line.contains("--force-new-cluster") && line.contains(&dir))
}

/// Writes keys through one member; each is acknowledged.
pub async fn write(etcd: &Etcd, at: usize, keys: std::ops::Range<usize>) {
    let mut client = etcd.client(at).await.unwrap();
    for key in keys {
        client.put(format!("key/{key:05}"), format!("{key}"), None).await.unwrap();
    }
}

/// How many of the keys are there, by a linearizable read.
pub async fn count(etcd: &Etcd, at: usize) -> i64 {
    let prefix = etcd_client::GetOptions::new().with_prefix().with_count_only();
    etcd.client(at).await.unwrap().get("key/", Some(prefix)).await.unwrap().count()
}

/// Three members of which cp3 fell behind after 100 keys; cp1 and cp2 have 300, all acknowledged. Then all are down, and the data of cp1 is lost.
pub async fn lost() -> Etcd {
    let mut etcd = Etcd::start(3).await.unwrap();
    write(&etcd, 0, 0..100).await;
    etcd.kill(2);
    // a leader among the two that are left
    etcd.serves(0).await.unwrap();
    write(&etcd, 0, 100..300).await;
    etcd.kill(0);
    etcd.kill(1);
    std::fs::remove_dir_all(etcd.data_dir(0)).unwrap();
    etcd
}

/// Whether a member serves linearizable reads within some seconds.
pub async fn serves(etcd: &Etcd, at: usize, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let mut client = etcd.client(at).await.unwrap();
    while Instant::now() < until {
        let read = tokio::time::timeout(Duration::from_secs(1), client.get("key/00000", None));
        if matches!(read.await, Ok(Ok(_))) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

pub fn must(reply: &Reply) -> &Reply {
    assert!(!reply.failed(), "{}", reply.json);
    reply
}

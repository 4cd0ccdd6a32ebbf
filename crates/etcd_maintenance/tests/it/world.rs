//! Calls of the built module, and looks at the cluster behind its back.

use serde_json::{Value as Json, json};
use std::{
    io::Write,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{etcd::Etcd, module::Call};
use tokio::task::JoinHandle;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd_maintenance");

pub fn args(etcd: &Etcd, more: &Json) -> Json {
    let mut args = json!({
        "endpoints": etcd.endpoints(), "allow_unknown_disk": true, "min_size": "1M",
        "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key(),
    });
    for (key, value) in more.as_object().unwrap() {
        args[key] = value.clone();
    }
    args
}

pub fn call(etcd: &Etcd, more: &Json) -> Call {
    Call::new(PROGRAM, &args(etcd, more))
}

pub fn spawn(etcd: &Etcd, more: &Json) -> Child {
    let mut child =
        Command::new(PROGRAM).arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let request = args(etcd, more).to_string();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    child
}

/// What a member says of its file: size, in use.
pub async fn file(etcd: &Etcd, at: usize) -> (i64, i64) {
    let status = etcd.client(at).await.unwrap().status().await.unwrap();
    (status.db_size(), status.raft_used_db_size())
}

pub async fn leader(etcd: &Etcd, at: usize) -> u64 {
    etcd.client(at).await.unwrap().status().await.unwrap().leader()
}

/// Fills the database, deletes most of it and compacts: every file is mostly free pages. Returns the revision.
pub async fn fragment(etcd: &Etcd, mib: usize) -> i64 {
    let mut client = etcd.client(0).await.unwrap();
    let value = vec![7_u8; 256 << 10];
    for at in 0..mib * 4 {
        client.put(format!("bulk/{at:05}"), value.clone(), None).await.unwrap();
    }
    client.put("kept", "kept", None).await.unwrap();
    let all = etcd_client::DeleteOptions::new().with_prefix();
    let revision = client.delete("bulk/", Some(all)).await.unwrap().header().unwrap().revision();
    freed(etcd, revision).await;
    revision
}

/// Compacts, and waits until every member says that its pages are free.
async fn freed(etcd: &Etcd, revision: i64) {
    let options = etcd_client::CompactionOptions::new().with_physical();
    etcd.client(0).await.unwrap().compact(revision, Some(options)).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    for at in 0..etcd.endpoints().len() {
        loop {
            let (size, in_use) = file(etcd, at).await;
            if in_use * 2 < size {
                break;
            }
            assert!(Instant::now() < until, "{in_use} of {size} are in use still");
            // freed pages are counted by the commits after the one that freed them, and an idle cluster commits nothing
            etcd.client(at).await.unwrap().put("tick", "x", None).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A client that writes as fast as it can, and counts.
pub struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    task: JoinHandle<Vec<String>>,
}

impl Writer {
    /// Writes through one member after the other, each put to its end.
    pub async fn start(etcd: &Etcd) -> Self {
        let mut clients = vec![];
        for at in 0..etcd.endpoints().len() {
            clients.push(etcd.client(at).await.unwrap());
        }
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), written.clone());
        let task = tokio::spawn(async move {
            let mut failed = vec![];
            let all = clients.len();
            for at in 0_usize.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("written/{at:06}");
                match clients[at % all].put(key, "x", None).await {
                    Ok(_) => _ = count.fetch_add(1, Ordering::Relaxed),
                    Err(error) => failed.push(error.to_string()),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            failed
        });
        Self { stop, written, task }
    }

    /// Ends it: how many puts were acknowledged, and the errors of the others.
    pub async fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.task.await.unwrap();
        (self.written.load(Ordering::Relaxed), failed)
    }
}

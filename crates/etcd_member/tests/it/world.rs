//! Calls of the built module, and looks at the cluster behind its back.

use serde_json::{Value as Json, json};
use std::{
    io::Write,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use testkit::{
    etcd::Etcd,
    module::{Call, Reply},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_etcd_member");

pub fn args(etcd: &Etcd, endpoints: &[usize], more: &Json) -> Json {
    let mut args = json!({
        "state": "absent",
        "endpoints": endpoints.iter().map(|at| etcd.url(*at)).collect::<Vec<_>>(),
        "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key(),
    });
    for (key, value) in more.as_object().unwrap() {
        args[key] = value.clone();
    }
    // what is null is not given
    args.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    args
}

pub fn call(etcd: &Etcd, endpoints: &[usize], more: &Json) -> Call {
    Call::new(PROGRAM, &args(etcd, endpoints, more))
}

/// A sample as `etcd_info` gives it, taken a minute ago: all members were proven.
pub async fn sample(etcd: &Etcd) -> Json {
    let list = etcd.client(0).await.unwrap().member_list().await.unwrap();
    let taken = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 60;
    let cluster = list.header().unwrap().cluster_id();
    let proven: Vec<String> = list.members().iter().map(|m| format!("{:x}", m.id())).collect();
    json!({"taken_at": taken, "cluster_id": format!("{cluster:x}"), "proven": proven})
}

/// Names as a member lists them, a nameless one as its peer URL.
pub async fn names(etcd: &Etcd, at: usize) -> Vec<String> {
    let mut client = etcd.client(at).await.unwrap();
    // a linearizable read makes the local list of the same member fresh
    client.get("x", None).await.unwrap();
    let list = client.member_list().await.unwrap();
    let name = |m: &etcd_client::Member| {
        if m.name().is_empty() { m.peer_urls()[0].clone() } else { m.name().to_owned() }
    };
    let mut names: Vec<String> = list.members().iter().map(name).collect();
    names.sort();
    names
}

pub async fn leader(etcd: &Etcd, at: usize) -> u64 {
    etcd.client(at).await.unwrap().status().await.unwrap().leader()
}

pub async fn id(etcd: &Etcd, name: &str) -> u64 {
    let list = etcd.client(0).await.unwrap().member_list().await.unwrap();
    list.members().iter().find(|m| m.name() == name).unwrap().id()
}

/// Adds a member that is not started; etcd wants connections of some seconds' age before it lets anybody in.
pub async fn add_unstarted(etcd: &mut Etcd, learner: bool) -> usize {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match etcd.add_unstarted(0, learner).await {
            Ok(index) => return index,
            Err(error) if Instant::now() > until => panic!("{error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

pub fn list(reply: &Reply, key: &str) -> Vec<String> {
    reply.json[key]["members"]
        .as_array()
        .or_else(|| reply.json[key].as_array())
        .map(|all| all.iter().map(|m| m["name"].as_str().unwrap_or_default().to_owned()).collect())
        .unwrap_or_default()
}

pub fn spawn(etcd: &Etcd, endpoints: &[usize], more: &Json) -> Child {
    let mut child =
        Command::new(PROGRAM).arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(args(etcd, endpoints, more).to_string().as_bytes())
        .unwrap();
    child
}

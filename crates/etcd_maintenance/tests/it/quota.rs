//! Members with a quota of their own, on the data and with the certificates of a cluster that was started without.

use std::{
    fs,
    process::{Child, Command, Stdio},
};
use testkit::etcd::Etcd;

/// A process that ends with the test.
pub struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Kills every member and starts it again with a quota.
pub async fn relaunch_all(etcd: &mut Etcd, quota: u64) -> Vec<Member> {
    let count = etcd.endpoints().len();
    (0..count).for_each(|at| etcd.kill(at));
    let members = (0..count).map(|at| launch(etcd, at, quota)).collect();
    for at in 0..count {
        let mut client = etcd.client(at).await.unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while client.get("ready", None).await.is_err() {
            assert!(std::time::Instant::now() < until, "member {at} does not serve");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    members
}

fn launch(etcd: &Etcd, at: usize, quota: u64) -> Member {
    let pki = etcd.root().join("etc/kubernetes/pki/etcd");
    let pem = |end: &str| pki.join(format!("{}.{end}", etcd.name(at)));
    let log = fs::File::create(etcd.root().join(format!("{}.quota.log", etcd.name(at)))).unwrap();
    // killed with the thread that started it, however that ends
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(artefacts::etcd().unwrap());
    command.args(["--name", etcd.name(at), "--initial-cluster-state", "existing"]);
    let others =
        (0..etcd.endpoints().len()).map(|at| format!("{}={}", etcd.name(at), etcd.peer_url(at)));
    command.args(["--initial-cluster", &others.collect::<Vec<_>>().join(",")]);
    command.args(["--listen-client-urls", &etcd.url(at), "--advertise-client-urls", &etcd.url(at)]);
    command.args(["--listen-peer-urls", &etcd.peer_url(at)]);
    command.args(["--initial-advertise-peer-urls", &etcd.peer_url(at)]);
    command.args(["--client-cert-auth", "--peer-client-cert-auth", "--unsafe-no-fsync"]);
    command.args(["--log-level", "warn", "--quota-backend-bytes", &quota.to_string()]);
    command.arg("--data-dir").arg(etcd.data_dir(at));
    for prefix in ["", "peer-"] {
        command.arg(format!("--{prefix}cert-file")).arg(pem("crt"));
        command.arg(format!("--{prefix}key-file")).arg(pem("key"));
        command.arg(format!("--{prefix}trusted-ca-file")).arg(etcd.ca_cert());
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Member(command.spawn().unwrap())
}

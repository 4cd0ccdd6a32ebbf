//! Against a real apiserver, real etcd members and the real kubeadm.

use serde_json::{Value, json};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use testkit::{apiserver::Apiserver, etcd::Etcd, module::Reply};

const TOKEN: &str = "abcdef.0123456789abcdef";
const KEY: &str = "e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204";
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

/// A cluster as kubeadm leaves it, as far as this module looks: its configuration, its cluster-info and its certificates.
struct Cluster {
    api: Apiserver,
    etcd: Etcd,
    pki: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let (api, etcd) = (Apiserver::start().unwrap(), Etcd::start(2).await.unwrap());
        let pki = tempfile::tempdir().unwrap();
        kubeadm(&[
            "init",
            "phase",
            "certs",
            "all",
            "--cert-dir",
            &pki.path().display().to_string(),
        ]);
        let cluster = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificatesDir: {}\ncontrolPlaneEndpoint: 198.18.0.10:6443\nkubernetesVersion: v1.36.3\n",
            pki.path().display()
        );
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubeadm-config"}, "data": {"ClusterConfiguration": cluster}});
        api.create("/api/v1/namespaces/kube-system/configmaps", &config).unwrap();
        let this = Self { api, etcd, pki };
        // As `kubeadm init phase bootstrap-token` makes it, with the CA of the certificates below.
        let ca = this.kubeconfig_of_cluster_info();
        let info = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info"}, "data": {"kubeconfig": ca}});
        this.api.create("/api/v1/namespaces/kube-public/configmaps", &info).unwrap();
        this
    }

    fn kubeconfig_of_cluster_info(&self) -> String {
        let output =
            Command::new("base64").arg("-w0").arg(self.pki.path().join("ca.crt")).output().unwrap();
        let ca = String::from_utf8(output.stdout).unwrap();
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: https://198.18.0.10:6443\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\nusers: null\n"
        )
    }

    /// What the controller manager does when it sees a token for signing.
    fn sign(&self, id: &str) {
        self.api
            .edit("/api/v1/namespaces/kube-public/configmaps/cluster-info", |info| {
                info["data"][format!("jws-kubeconfig-{id}")] = json!("signature");
            })
            .unwrap();
    }

    fn run(&self, state: &str, more: &Value, check: bool) -> Reply {
        let path = |path: std::path::PathBuf| path.display().to_string();
        let mut args = json!({
            "state": state, "node": "cp9", "address": "127.9.9.9", "timeout": "30",
            "kubeconfig": path(self.api.kubeconfig()), "endpoints": self.etcd.endpoints(),
            "ca_cert": path(self.etcd.ca_cert()), "client_cert": path(self.etcd.client_cert()), "client_key": path(self.etcd.client_key()),
            "_ansible_check_mode": check, "_ansible_diff": true,
        });
        if state == "present" {
            merge(&mut args, &json!({"token": TOKEN, "certificate_key": KEY}));
        }
        merge(&mut args, more);
        run(&args)
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// Runs the built module with kubeadm on its path, and holds the reply against the protocol and against the secrets.
fn run(args: &Value) -> Reply {
    let kubeadm = artefacts::kubeadm().expect("kubeadm can be built from its Go module");
    let path =
        format!("{}:{}", kubeadm.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubeadm_join_material"));
    command
        .arg("-")
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(args.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for secret in [KEY, "0123456789abcdef\"", "abcdef.0123"] {
        assert!(!text.contains(secret), "a secret left the program: {text}");
    }
    Reply::from(&output)
}

fn kubeadm(args: &[&str]) {
    let output = Command::new(artefacts::kubeadm().unwrap()).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "kubeadm {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn material_is_made_once_and_revoked_once() {
    let cluster = block_on(Cluster::start());
    let check = cluster.run("present", &json!({}), true);
    assert!(check.changed() && !check.failed(), "{}", check.json);
    assert!(
        cluster.api.get(&format!("{SECRETS}/kubeadm-certs")).is_err(),
        "a check changes nothing"
    );
    cluster.sign("abcdef");
    let made = cluster.run("present", &json!({}), false);
    assert!(made.changed() && !made.failed(), "{}", made.json);
    for key in ["token_ready", "certificates_ready"] {
        assert_eq!(made.json[key], json!(true), "{}", made.json);
    }
    assert_eq!(made.json["api_endpoint"], "198.18.0.10:6443");
    assert_eq!(made.json["ca_cert_hashes"], json!([pin(cluster.pki.path())]));
    assert_eq!(made.json["etcd_endpoints"].as_array().map(Vec::len), Some(2), "{}", made.json);
    assert_eq!(made.json["listed_member"], "none");
    for again in [true, false] {
        let again = cluster.run("present", &json!({}), again);
        assert!(!again.changed() && !again.failed(), "{}", again.json);
    }
    as_kubeadm_reads_them(&cluster);
    let revoked = cluster.run("absent", &json!({}), false);
    assert!(revoked.changed() && !revoked.failed(), "{}", revoked.json);
    let left = cluster.api.get(SECRETS).unwrap();
    assert_eq!(
        left["items"],
        json!([]),
        "nothing is left, not even the token that kubeadm limits the certificates' life with"
    );
    assert!(!cluster.run("absent", &json!({}), false).changed());
}

/// The independent reader: what `kubeadm token list` and the objects themselves say.
fn as_kubeadm_reads_them(cluster: &Cluster) {
    let certificates = cluster.api.get(&format!("{SECRETS}/kubeadm-certs")).unwrap();
    let names: Vec<_> = certificates["data"].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "ca.crt",
        "ca.key",
        "etcd-ca.crt",
        "etcd-ca.key",
        "front-proxy-ca.crt",
        "front-proxy-ca.key",
        "sa.key",
        "sa.pub",
    ];
    assert_eq!(names, expected);
    let mut list = Command::new(artefacts::kubeadm().unwrap());
    list.args(["token", "list", "-o", "json", "--kubeconfig"]).arg(cluster.api.kubeconfig());
    let output = String::from_utf8(list.output().unwrap().stdout).unwrap();
    let ours = serde_json::Deserializer::from_str(&output)
        .into_iter::<Value>()
        .map(Result::unwrap)
        .find(|token| token["token"] == TOKEN);
    let ours = ours.unwrap_or_else(|| panic!("kubeadm does not list the token: {output}"));
    assert_eq!(ours["usages"], json!(["authentication", "signing"]));
    assert_eq!(ours["groups"], json!(["system:bootstrappers:kubeadm:default-node-token"]));
    assert!(ours["expires"].is_string(), "{ours}");
}

fn pin(pki: &Path) -> String {
    let script = format!(
        "openssl x509 -pubkey -noout -in {}/ca.crt | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1",
        pki.display()
    );
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    format!("sha256:{}", String::from_utf8(output.stdout).unwrap().trim())
}

#[test]
fn another_key_uploads_again_and_another_token_of_the_id_is_refused() {
    let cluster = block_on(Cluster::start());
    cluster.sign("abcdef");
    assert!(cluster.run("present", &json!({}), false).changed());
    let other = KEY.replace('e', "f");
    let again = cluster.run("present", &json!({"certificate_key": other}), false);
    assert!(again.changed() && !again.failed(), "{}", again.json);
    let taken = cluster.run(
        "present",
        &json!({"token": "abcdef.fedcba9876543210", "certificate_key": other}),
        false,
    );
    assert_eq!(taken.refusal(), "token_taken", "{}", taken.json);
}

#[test]
fn a_node_or_a_foreign_learner_is_refused() {
    let mut cluster = block_on(Cluster::start());
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "cp9"}});
    cluster.api.create("/api/v1/nodes", &node).unwrap();
    let refused = cluster.run("present", &json!({}), false);
    assert_eq!((refused.refusal(), refused.changed()), ("node_exists", false), "{}", refused.json);
    let check = cluster.run("present", &json!({}), true);
    assert!(
        !check.failed() && check.changed(),
        "in a check of a whole playbook an earlier task would have deleted it: {}",
        check.json
    );
    cluster.api.kubectl(&["delete", "node", "cp9"], None).unwrap();
    let joining = add_learner(&mut cluster.etcd);
    let refused = cluster.run("present", &json!({}), false);
    assert_eq!((refused.refusal(), refused.changed()), ("foreign_join", false), "{}", refused.json);
    let own = cluster.run("present", &json!({"address": cluster.etcd.host(joining)}), true);
    assert!(
        !own.failed() && own.json["listed_member"] == "nameless",
        "its own is not foreign: {}",
        own.json
    );
    assert!(cluster.api.get(SECRETS).unwrap()["items"].as_array().unwrap().is_empty());
}

/// etcd takes a member only when all others have been connected for five seconds.
fn add_learner(etcd: &mut Etcd) -> usize {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match block_on(etcd.add_unstarted(0, true)) {
            Ok(index) => return index,
            Err(error) if Instant::now() > until => panic!("{error:#}"),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

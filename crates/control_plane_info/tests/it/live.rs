//! The built module against real files and a real apiserver.

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
};
use tempfile::TempDir;
use testkit::{apiserver::Apiserver, module::Call};

const PROGRAM: &str = env!("CARGO_BIN_EXE_control_plane_info");
const KEY: &str = "0123456789abcdef0123456789abcdef";
const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n";
const ENCRYPTION: &str = "kind: EncryptionConfiguration\nresources: [{secret: c2VjcmV0LWtleQ==}]\n";

fn write(root: &Path, path: &str, content: &str) {
    let at = root.join(path);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(at, content).unwrap();
}

/// A certificate as a user's own tool makes it.
fn openssl(root: &Path, path: &str, name: &str, days: u32) {
    let at = root.join(path);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj"])
        .arg(format!("/O=system:masters/CN={name}"))
        .args(["-days", &days.to_string(), "-out"])
        .arg(&at)
        .output()
        .unwrap_or_else(|error| panic!("openssl is needed for this test: {error}"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// What `openssl x509` says, as RFC 3339.
fn ends(path: &Path) -> String {
    let args = ["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"];
    let told = Command::new("openssl").args(args).arg(path).output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    text.trim().trim_start_matches("notAfter=").replace(' ', "T")
}

fn base64(path: &Path) -> String {
    let told = Command::new("openssl").args(["base64", "-A", "-in"]).arg(path).output().unwrap();
    String::from_utf8(told.stdout).unwrap()
}

fn manifest(name: &str, port: u16, scheme: &str, flags: &str) -> String {
    format!(
        "spec:
  containers:
  - command: [{name}{flags}]
    image: registry.k8s.io/{name}:v1.36.3
    ports: [{{containerPort: {port}, name: probe-port}}]
    readinessProbe: {{httpGet: {{host: 127.0.0.1, path: /readyz, port: probe-port, scheme: {scheme}}}}}
    volumeMounts:
    - {{mountPath: /etc/kubernetes/pki, name: k8s-certs}}
    - {{mountPath: /etc/enc, name: enc}}
  volumes:
  - {{hostPath: {{path: /etc/kubernetes/pki, type: DirectoryOrCreate}}, name: k8s-certs}}
  - {{hostPath: {{path: /opt/enc, type: Directory}}, name: enc}}
"
    )
}

/// A host as kubeadm leaves it, with the user's own encryption configuration and audit policy.
fn kubeadm_host(server: u16, scheduler: u16) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let flags = ", --encryption-provider-config=/etc/enc/enc.yaml, --audit-policy-file=/etc/kubernetes/pki/policy.yaml";
    let manifests = "etc/kubernetes/manifests";
    let apiserver = manifest("kube-apiserver", server, "HTTPS", flags);
    write(root, &format!("{manifests}/kube-apiserver.yaml"), &apiserver);
    let plain = manifest("kube-scheduler", scheduler, "HTTP", "");
    write(root, &format!("{manifests}/kube-scheduler.yaml"), &plain);
    write(root, "etc/kubernetes/pki/policy.yaml", POLICY);
    write(root, "opt/enc/enc.yaml", ENCRYPTION);
    openssl(root, "etc/kubernetes/pki/apiserver.crt", "kube-apiserver", 365);
    openssl(root, "etc/kubernetes/pki/etcd/server.crt", "cp1", 30);
    openssl(root, "client.crt", "kubernetes-admin", 3);
    openssl(root, "var/lib/kubelet/pki/kubelet-client-current.pem", "system:node:cp1", 200);
    let data = base64(&root.join("client.crt"));
    write(
        root,
        "etc/kubernetes/scheduler.conf",
        &format!(
            "users:\n- name: u\n  user: {{client-certificate-data: {data}, client-key-data: c2VjcmV0}}\n"
        ),
    );
    write(
        root,
        "etc/kubernetes/kubelet.conf",
        "users:\n- user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem}\n",
    );
    dir
}

fn call(root: &Path, more: &Value) -> Call {
    let mut args = json!({"name": "cp1", "root": root, "fingerprint_key": KEY, "timeout": "2"});
    for (key, value) in more.as_object().unwrap() {
        args[key] = value.clone();
    }
    Call::new(PROGRAM, &args)
}

#[test]
fn certificates_are_those_that_openssl_sees() {
    let host = kubeadm_host(1, 1);
    let reply = call(host.path(), &json!({"subset": ["certificates"]})).run().json;
    let found: Vec<_> = reply["certificates"].as_array().unwrap().iter().collect();
    let expected = [
        ("/etc/kubernetes/pki/apiserver.crt", "kube-apiserver", 365, false),
        ("/etc/kubernetes/pki/etcd/server.crt", "cp1", 30, false),
        ("/var/lib/kubelet/pki/kubelet-client-current.pem", "system:node:cp1", 200, true),
        ("/etc/kubernetes/scheduler.conf", "kubernetes-admin", 3, false),
    ];
    assert_eq!(found.len(), expected.len(), "{reply}");
    for (one, (path, subject, days, renews)) in found.iter().zip(expected) {
        let left = one["days_left"].as_i64().unwrap();
        assert!(
            left == days || left == days - 1,
            "a day is over as soon as a second of it is: {one}"
        );
        let seen = (&one["path"], &one["subject"], &one["renews_itself"]);
        assert_eq!(seen, (&json!(path), &json!(subject), &json!(renews)));
    }
    let at = |path: &str| host.path().join(path);
    assert_eq!(found[0]["not_after"], ends(&at("etc/kubernetes/pki/apiserver.crt")));
    assert_eq!(reply["expires_first"]["not_after"], ends(&at("client.crt")));
    assert!(!reply.to_string().contains("c2VjcmV0"), "{reply}");
}

#[test]
fn files_are_compared_and_their_contents_never_shown() {
    let (one, other) = (kubeadm_host(1, 1), kubeadm_host(1, 1));
    let only = json!({"subset": ["manifests"]});
    let reply = call(one.path(), &only).run().json;
    let files = reply["files"].as_array().unwrap();
    let paths: Vec<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/opt/enc/enc.yaml", "/etc/kubernetes/pki/policy.yaml"]);
    assert!(files[0]["sha256"].is_null() && files[0]["fingerprint"].is_string(), "{reply}");
    assert!(files[1]["sha256"].is_string(), "an audit policy is no secret: {reply}");
    assert!(!reply.to_string().contains("c2VjcmV0"), "{reply}");
    assert_eq!(call(other.path(), &only).run().json["files"], reply["files"]);
    let fresh = tempfile::tempdir().unwrap();
    let again = json!({"subset": ["clock"], "files": files});
    let kinds = |root: &Path| {
        let reply = call(root, &again).run().json;
        let found = reply["files"].as_array().unwrap();
        found.iter().map(|file| file["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(fresh.path()), ["absent", "absent"]);
    write(fresh.path(), "opt/enc/enc.yaml", "another");
    assert_eq!(kinds(fresh.path()), ["file", "absent"]);
    let keyed =
        call(one.path(), &json!({"subset": ["manifests"], "fingerprint_key": "f".repeat(32)}));
    assert_ne!(keyed.run().json["files"][0]["fingerprint"], files[0]["fingerprint"]);
}

/// Answers every request alike, for as long as the test runs.
fn answer(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut seen) = (stream.unwrap(), [0; 1024]);
            let count = stream.read(&mut seen).unwrap();
            assert!(seen[..count].starts_with(b"GET /readyz"));
            let more = "content-length: 2\r\nconnection: close\r\n\r\nno";
            // A client that has given up is no reason to end.
            _ = write!(stream, "HTTP/1.1 {status}\r\n{more}");
        }
    });
    port
}

#[test]
fn components_are_asked_and_what_they_say_is_told() {
    let server = Apiserver::shared().unwrap();
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let host = kubeadm_host(port, answer("500 Internal Server Error"));
    fs::copy(server.kubeconfig(), host.path().join("etc/kubernetes/admin.conf")).unwrap();
    let only = json!({"subset": ["components"]});
    let reply = call(host.path(), &only).run().json;
    let components = &reply["components"];
    assert_eq!(components["apiserver"]["ready"], true, "{components}");
    assert_eq!(components["scheduler"]["ready"], false, "{components}");
    assert_eq!(components["scheduler"]["why"], "status 500: no");
    assert!(components["etcd"].is_null(), "there is no manifest of it");
    let well = kubeadm_host(port, answer("200 OK"));
    let reply = call(well.path(), &only).run().json;
    assert_eq!(reply["components"]["scheduler"]["ready"], true, "{reply}");
    let why = reply["components"]["apiserver"]["why"].as_str().unwrap_or_default();
    assert!(why.contains("admin.conf"), "no kubeconfig, no evidence: {reply}");
}

#[test]
fn the_clock_says_how_long_ago_it_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let args =
        json!({"subset": ["clock"], "asked_at": format!("{:.6}", now.as_secs_f64() - 100.0)});
    let reply = call(dir.path(), &args).run().json;
    let since = reply["clock"]["since_asked"].as_f64().unwrap();
    assert!((100.0..130.0).contains(&since), "{reply}");
    assert!(reply["distribution"].is_null(), "{reply}");
}

/// From real reports of two hosts to the judgement, as the playbook does it.
#[test]
fn reports_are_judged_as_they_come() {
    let hosts = [kubeadm_host(1, 1), kubeadm_host(1, 1)];
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let report = |(number, host): (usize, &TempDir)| {
        let more = json!({"asked_at": now(), "name": format!("cp{number}")});
        let mut reply = call(host.path(), &more).run().json;
        reply["item"] = json!(format!("cp{number}"));
        reply
    };
    let reports: Vec<_> = hosts.iter().enumerate().map(report).collect();
    let judge = json!({"reports": reports, "asked_at": now(), "max_clock_difference": 60});
    let reply = Call::new(PROGRAM, &judge).run();
    assert_eq!(reply.refusal(), "not_ready", "{}", reply.json);
    for text in [
        "cp0",
        "cp1",
        "kubelet",
        "certificate /etc/kubernetes/scheduler.conf",
        "prepare_host_tasks",
    ] {
        assert!(reply.msg().contains(text), "no {text} in {}", reply.msg());
    }
    let lost = json!({"reports": [{"item": "cp9", "unreachable": true, "msg": "no route"}], "asked_at": now()});
    assert_eq!(Call::new(PROGRAM, &lost).run().refusal(), "no_answer");
}

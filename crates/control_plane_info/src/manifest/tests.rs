use super::*;

/// As kubeadm 1.36 writes it, with what users add: their own directory, a file among kubeadm's certificates, one among the system's.
const APISERVER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=198.18.0.11
    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    - --etcd-servers=https://127.0.0.1:2379
    - --encryption-provider-config=/etc/kubernetes/enc/enc.yaml
    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml
    - --audit-log-path=/var/log/kubernetes/audit.log
    - --oidc-ca-file=/etc/kubernetes/pki/oidc-ca.pem
    - --tls-sni-cert-key=/etc/ssl/certs/front.crt,/etc/ssl/certs/front.key:api.example.org
    - --kubelet-certificate-authority
    - /etc/ssl/certs/ca-certificates.crt
    - --token-auth-file=/inside/the/image
    image: registry.k8s.io/kube-apiserver:v1.36.3
    ports:
    - {containerPort: 6443, name: probe-port, protocol: TCP}
    readinessProbe:
      httpGet: {host: 198.18.0.11, path: /readyz, port: probe-port, scheme: HTTPS}
    volumeMounts:
    - {mountPath: /etc/ssl/certs, name: ca-certs, readOnly: true}
    - {mountPath: /etc/kubernetes/pki, name: k8s-certs, readOnly: true}
    - {mountPath: /etc/kubernetes/enc, name: enc, readOnly: true}
    - {mountPath: /etc/kubernetes/audit/policy.yaml, name: audit, readOnly: true}
    - {mountPath: /var/log/kubernetes, name: audit-log}
    - {mountPath: /run/kms, name: kms}
    - {mountPath: /hooks, name: hooks}
  volumes:
  - {hostPath: {path: /etc/ssl/certs, type: DirectoryOrCreate}, name: ca-certs}
  - {hostPath: {path: /etc/kubernetes/pki, type: DirectoryOrCreate}, name: k8s-certs}
  - {hostPath: {path: /opt/enc, type: Directory}, name: enc}
  - {hostPath: {path: /opt/policy.yaml, type: File}, name: audit}
  - {hostPath: {path: /var/log/kubernetes, type: DirectoryOrCreate}, name: audit-log}
  - {hostPath: {path: /run/kms}, name: kms}
  - {hostPath: {path: /opt/hooks}, name: hooks}
";

fn needs() -> Vec<(String, String, bool)> {
    let needs = Pod::parse(APISERVER).unwrap().needs("kube-apiserver");
    needs.into_iter().map(|need| (need.path, need.by, need.secret)).collect()
}

#[test]
fn what_kubeadm_does_not_make_is_needed_and_nothing_else() {
    let need = |path: &str, by: &str, secret| (path.to_owned(), by.to_owned(), secret);
    let expected = [
        need("/opt/enc/enc.yaml", "kube-apiserver --encryption-provider-config", true),
        need("/opt/policy.yaml", "kube-apiserver --audit-policy-file", false),
        need("/etc/kubernetes/pki/oidc-ca.pem", "kube-apiserver --oidc-ca-file", false),
        need("/etc/ssl/certs/front.crt", "kube-apiserver --tls-sni-cert-key", true),
        need("/etc/ssl/certs/front.key", "kube-apiserver --tls-sni-cert-key", true),
        need("/opt/hooks", "kube-apiserver, which mounts it", true),
    ];
    assert_eq!(needs(), expected);
}

#[test]
fn a_plain_kubeadm_pod_needs_nothing() {
    let lines: Vec<_> = APISERVER
        .lines()
        .filter(|line| {
            !["enc", "audit", "oidc", "sni", "kms", "hooks"].iter().any(|own| line.contains(own))
        })
        .collect();
    assert_eq!(Pod::parse(&lines.join("\n")).unwrap().needs("kube-apiserver"), []);
}

#[test]
fn it_is_asked_where_the_kubelet_asks_it() {
    let pod = Pod::parse(APISERVER).unwrap();
    assert_eq!(pod.endpoint().unwrap().url(), "https://198.18.0.11:6443/readyz");
    let plain = APISERVER
        .replace("port: probe-port, scheme: HTTPS", "port: 2381, scheme: HTTP")
        .replace("{host: 198.18.0.11, path", "{path");
    assert_eq!(
        Pod::parse(&plain).unwrap().endpoint().unwrap().url(),
        "http://127.0.0.1:2381/readyz"
    );
    let six = APISERVER.replace("host: 198.18.0.11, path", "host: \"fd00::11\", path");
    assert_eq!(Pod::parse(&six).unwrap().endpoint().unwrap().address, "[fd00::11]:6443");
    let none = APISERVER.replace("readinessProbe", "other");
    assert_eq!(Pod::parse(&none).unwrap().endpoint(), None);
}

#[test]
fn the_version_is_the_images() {
    let version = |image: &str| {
        let text = APISERVER.replace("registry.k8s.io/kube-apiserver:v1.36.3", image);
        Pod::parse(&text).unwrap().manifest().version
    };
    assert_eq!(version("registry.k8s.io/kube-apiserver:v1.36.3").as_deref(), Some("v1.36.3"));
    assert_eq!(version("mirror:5000/etcd:3.6.16-0@sha256:00").as_deref(), Some("3.6.16"));
    assert_eq!(version("mirror:5000/etcd@sha256:00"), None);
}

#[test]
fn a_configuration_names_files_in_turn() {
    let pod = Pod::parse(APISERVER).unwrap();
    let text = "plugins:\n- name: ImagePolicyWebhook\n  path: /etc/kubernetes/enc/hook.yaml\n- name: Other\n  configuration: {rules: [/healthz*, /etc/kubernetes/pki/ca.crt]}\n";
    assert_eq!(pod.named_in(text), ["/opt/enc/hook.yaml"]);
    assert!(pod.named_in("no: [yaml").is_empty());
}

#[test]
fn a_manifest_that_is_none_is_said_to_be_none_without_its_content() {
    let why = Pod::parse("spec:\n  secret: s3cr3t\n bad: [").unwrap_err();
    assert!(why.starts_with("no YAML") && !why.contains("s3cr3t"), "{why}");
    assert_eq!(Pod::parse("spec: {}").unwrap_err(), "expected a pod with a container, found none");
}

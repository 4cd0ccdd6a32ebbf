//! From kubeadm's last lines to a reason and a way out.

use crate::state::Cause;

const MATERIAL: &str = "make new material on a healthy peer (kubeadm_join_material) and run again";
const REMAINDER: &str = "run again: what this attempt left is cleared first";

/// What kubeadm says, by the words that do not change between releases (cmd/kubeadm/app, and etcd's own errors), the reason and the way out.
/// The first that fits counts: the special stands before the general.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "none of the public keys",
        "ca_differs",
        "the endpoint serves another cluster than the pin says: check api_endpoint and ca_cert_hashes",
    ),
    ("could not find a JWS signature", "token_unknown", MATERIAL),
    ("failed to verify JWS signature", "token_unknown", MATERIAL),
    ("is invalid for this cluster or it has expired", "token_unknown", MATERIAL),
    ("Unauthorized", "token_unknown", MATERIAL),
    ("\"kubeadm-certs\" was not found", "certificates_gone", MATERIAL),
    (
        "error decoding secret data with provided key",
        "key_differs",
        "certificate_key is not the one the certificates were uploaded with: make new material and run again",
    ),
    (
        "error decoding certificate key",
        "key_differs",
        "certificate_key is not the one the certificates were uploaded with: make new material and run again",
    ),
    ("the Secret does not include the required certificate", "certificates_gone", MATERIAL),
    (
        "already exists in the cluster",
        "node_exists",
        "delete the Node (k8s_node, state absent), then run again",
    ),
    (
        "too many learner members",
        "foreign_join",
        "another join is under way or was left: wait for it, or remove its learner (etcd_member, state absent)",
    ),
    (
        "unhealthy cluster",
        "etcd_unhealthy",
        "etcd takes no member while a voter is not connected: see etcd_info, repair or remove that voter first",
    ),
    (
        "not enough started members",
        "etcd_unhealthy",
        "etcd takes no member while another has not started: see etcd_info, remove it first",
    ),
    (
        "etcd cluster is not healthy",
        "etcd_unhealthy",
        "see etcd_info for the member that does not answer; repair or remove it first",
    ),
    (
        "in sync with leader",
        "learner_behind",
        "the learner did not catch up with the leader: check disk and network of this host, then run again",
    ),
    (
        "is not started",
        "etcd_did_not_start",
        "etcd on this host did not start: see its container's log on this host",
    ),
    (
        "stable controlPlaneEndpoint",
        "no_endpoint",
        "give the cluster a controlPlaneEndpoint in the ConfigMap kubeadm-config first",
    ),
    (
        "[ERROR Port-",
        "port_in_use",
        "another program holds a port of the control plane on this host: stop it, then run again",
    ),
    ("[ERROR DirAvailable", "remainder", REMAINDER),
    ("[ERROR FileAvailable", "remainder", REMAINDER),
    (
        "[ERROR CRI]",
        "no_runtime",
        "start the container runtime on this host, or correct node_registration.cri_socket",
    ),
    (
        "[ERROR ImagePull]",
        "no_image",
        "an image cannot be pulled on this host: check its registry, or load the images first",
    ),
    (
        "[ERROR KubeletVersion]",
        "versions_differ",
        "install the peers' version of kubelet on this host",
    ),
    (
        "[ERROR KubernetesVersion]",
        "versions_differ",
        "install the peers' version of kubeadm on this host",
    ),
    (
        "[ERROR ",
        "preflight",
        "correct what kubeadm names, or name the check in ignore_preflight_errors",
    ),
    ("waiting for the kubelet to start", "kubelet_down", "see the kubelet's journal on this host"),
    (
        "waiting for TLS bootstrap",
        "kubelet_down",
        "see the kubelet's journal on this host: its apiserver or its token did not serve it",
    ),
    (
        "control plane components are not running",
        "components_down",
        "see the containers' logs on this host",
    ),
    ("connection refused", "endpoint_unreachable", "check api_endpoint and the load balancer"),
    (
        "no route to host",
        "endpoint_unreachable",
        "check api_endpoint and the way to it from this host",
    ),
    (
        "deadline exceeded",
        "too_slow",
        "check the way to the peers and the disk of this host, then run again",
    ),
    (
        "timed out",
        "too_slow",
        "check the way to the peers and the disk of this host, then run again",
    ),
    ("unknown field", "bad_configuration", "correct kubeadm_extra or node_registration"),
    ("strict decoding error", "bad_configuration", "correct kubeadm_extra or node_registration"),
];

/// How much of kubeadm's words is shown.
const SHOWN: usize = 600;

/// The cause that the end of the unit and the last lines of kubeadm tell.
pub fn cause(result: &str, lines: &[String]) -> Cause {
    let said = fatal(lines);
    // systemd's words for an end that kubeadm did not choose; what it said last is then no reason.
    if result != "exit-code" {
        let said = format!("it was ended from outside ({result}) after {said:?}");
        return Cause { code: "ended".into(), said, way_out: REMAINDER.into() };
    }
    let known = KNOWN.iter().find(|(words, ..)| said.contains(words)).or_else(|| {
        let text = lines.join("\n");
        KNOWN.iter().find(|(words, ..)| text.contains(words))
    });
    let (code, way_out) = known
        .map_or(("join_failed", "see the journal of the unit on this host"), |(_, code, way)| {
            (code, way)
        });
    Cause { code: code.into(), said, way_out: way_out.into() }
}

/// The lines that say what was fatal: from the last `error execution phase` or `[ERROR` on, else the last that is not advice.
fn fatal(lines: &[String]) -> String {
    let is_error = |line: &&String| {
        let line = line.trim();
        line.starts_with("error")
            || line.contains("[ERROR ")
            || line.starts_with("failed")
            || line.contains("error execution phase")
    };
    let mut told: Vec<&str> = lines.iter().filter(is_error).map(|line| line.trim()).collect();
    if told.is_empty() {
        let advice = |line: &&String| {
            line.trim().is_empty() || line.contains("--v=5") || line.contains("systemd[")
        };
        told.extend(lines.iter().rev().find(|line| !advice(line)).map(|line| line.trim()));
    }
    told.join("; ").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Cause {
        cause("exit-code", &text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_kubeadm_says_has_a_reason() {
        let table = [
            (
                "error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"",
                "token_unknown",
            ),
            (
                "error execution phase control-plane-prepare/download-certs: error downloading certs: error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired.",
                "certificates_gone",
            ),
            (
                "error execution phase control-plane-prepare/download-certs: error downloading certs: error decoding secret data with provided key: cipher: message authentication failed",
                "key_differs",
            ),
            (
                "error execution phase kubelet-start: a Node with name \"cp2\" and status \"Ready\" already exists in the cluster. You must delete the existing Node",
                "node_exists",
            ),
            (
                "error execution phase etcd-join: error creating local etcd static pod manifest file: etcdserver: too many learner members in cluster",
                "foreign_join",
            ),
            (
                "error execution phase check-etcd: etcd cluster is not healthy: failed to dial endpoint",
                "etcd_unhealthy",
            ),
            (
                "error execution phase etcd-join: error creating local etcd static pod manifest file: etcdserver: unhealthy cluster",
                "etcd_unhealthy",
            ),
            (
                "error execution phase etcd-join: etcdserver: can only promote a learner member which is in sync with leader",
                "learner_behind",
            ),
            (
                "[preflight] Some fatal errors occurred:\n\t[ERROR Port-10250]: Port 10250 is in use\n\t[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: exists\nerror: error execution phase preflight",
                "port_in_use",
            ),
            (
                "[preflight] Some fatal errors occurred:\n\t[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty\nerror execution phase preflight",
                "remainder",
            ),
            (
                "\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2",
                "preflight",
            ),
        ];
        for (text, code) in table {
            assert_eq!(of(text).code, code, "{text}");
        }
    }

    #[test]
    fn an_end_from_outside_is_no_failure_of_kubeadm() {
        let cause = cause("signal", &["[etcd] Creating static Pod manifest".to_owned()]);
        let said =
            "it was ended from outside (signal) after \"[etcd] Creating static Pod manifest\"";
        assert_eq!((cause.code.as_str(), cause.said.as_str()), ("ended", said));
    }

    #[test]
    fn an_unknown_failure_shows_the_last_line_that_tells_something() {
        let cause = of(
            "[preflight] Running\nsomething odd\n\nTo see the stack trace of this error execute with --v=5 or higher\n",
        );
        assert_eq!((cause.code.as_str(), cause.said.as_str()), ("join_failed", "something odd"));
        assert_eq!(of("").said, "");
    }
}

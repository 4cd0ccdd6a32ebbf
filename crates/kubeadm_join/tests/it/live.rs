//! Against the real kubeadm.

use std::process::Command;

fn validate(config: &str) {
    let kubeadm = artefacts::kubeadm().expect("kubeadm can be built from its Go module");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("join.json");
    std::fs::write(&path, config).unwrap();
    let output =
        Command::new(kubeadm).args(["config", "validate", "--config"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}\n{config}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn kubeadm_accepts_the_configuration() {
    let mut wanted = super::laws::wanted();
    validate(&wanted.configuration("cp2", "198.18.0.12"));
    wanted.skip_phases = vec!["addon".into()];
    wanted.ignore_preflight_errors = vec!["Swap".into(), "SystemVerification".into()];
    wanted.patches = Some("/etc/kubernetes/patches".into());
    wanted.registration.cri_socket = Some("unix:///run/containerd/containerd.sock".into());
    wanted.registration.kubelet_extra_args =
        serde_json::from_str(r#"{"node-ip": "198.18.0.12", "v": [2, 4], "fail-cgroupv1": false}"#)
            .unwrap();
    wanted.registration.taints = Some(vec![]);
    wanted.extra = serde_json::from_str(r#"{"timeouts": {"tlsBootstrap": "2m0s"}, "nodeRegistration": {"imagePullPolicy": "Never"}}"#).unwrap();
    let config = wanted.configuration("cp2", "198.18.0.12");
    validate(&config);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        config["timeouts"],
        serde_json::json!({"discovery": "1m0s", "tlsBootstrap": "2m0s"}),
        "what is given is merged"
    );
    let flags = config["nodeRegistration"]["kubeletExtraArgs"].as_array().unwrap().clone();
    assert!(
        flags.contains(&serde_json::json!({"name": "fail-cgroupv1", "value": "false"}))
            && flags.len() == 4,
        "{flags:?}"
    );
}

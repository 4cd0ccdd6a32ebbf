//! The built program.

use serde_json::json;
use testkit::module::Call;

const KEY: &str = "e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204";

#[test]
fn what_cannot_be_used_is_said_without_the_secrets() {
    let args = json!({"token": "abcdef.NOT-A-SECRET", "certificate_key": KEY, "api_endpoint": "198.18.0.10:6443", "ca_cert_hashes": [], "cluster_id": "1", "etcd_endpoints": []});
    let call = Call::new(env!("CARGO_BIN_EXE_kubeadm_join"), &args);
    let dir = tempfile::tempdir().unwrap();
    for reply in [call.run(), call.run_from_file(dir.path()), call.clone().check().run()] {
        assert!(reply.failed() && reply.msg().starts_with("token: expected"), "{}", reply.json);
        let text = reply.json.to_string();
        assert!(!text.contains("NOT-A-SECRET") && !text.contains(KEY), "{text}");
    }
}

#[test]
fn an_unknown_option_is_named() {
    let args = json!({"tokn": "x", "token": "", "certificate_key": KEY, "api_endpoint": "198.18.0.10:6443", "ca_cert_hashes": [], "cluster_id": "1", "etcd_endpoints": []});
    let reply = Call::new(env!("CARGO_BIN_EXE_kubeadm_join"), &args).run();
    assert!(reply.failed() && reply.msg().contains("tokn"), "{}", reply.json);
}

use super::*;
use serde_json::json;

fn node(name: &str, ready: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
}

fn lease(name: &str, at: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"renewTime": at}})
}

#[test]
fn a_node_is_ready_when_it_says_so_and_renewed_its_lease_since() {
    let nodes =
        json!({"items": [node("cp1", "True"), node("cp2", "True"), node("cp3", "Unknown")]});
    let leases = json!({"items": [lease("cp1", "2026-11-21T08:00:01.000000Z"), lease("cp2", "2026-11-21T07:59:59.9Z")]});
    let since = seconds("2026-11-21T08:00:00Z").unwrap();
    assert_eq!(unready(&nodes, &leases, since), ["cp2 has an old lease", "cp3 is not Ready"]);
    assert_eq!(unready(&json!({}), &leases, since).len(), 3);
}

#[test]
fn time_stamps_are_unix_time() {
    assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(seconds("2000-03-01T00:00:00Z"), Some(951_868_800));
    assert_eq!(seconds("2024-02-29T23:59:59.999999Z"), Some(1_709_251_199));
    assert_eq!(seconds("soon"), None);
}

#[test]
fn the_servers_status_is_field_17_of_its_line() {
    let stat = "# pxname,svname,qcur\nkube-apiserver,cp1,0,0,0,0,,0,0,0,,0,,0,0,0,0,UP,1,1,0\nother,cp2,0,0,0,0,,0,0,0,,0,,0,0,0,0,UP,1\n";
    assert_eq!(server_status(stat, "cp1"), Some("UP"));
    assert_eq!(server_status(stat, "cp2"), None);
}

#[test]
fn secrets_have_the_form_that_kubeadm_demands() {
    let secrets = Secrets::new().unwrap();
    let (id, rest) = secrets.token.split_once('.').unwrap();
    assert_eq!((id.len(), rest.len(), secrets.certificate_key.len()), (6, 16, 64));
}

#[test]
fn every_host_joins_behind_the_load_balancer() {
    let secrets =
        Secrets { token: "abcdef.0123456789abcdef".to_owned(), certificate_key: "00".to_owned() };
    let host = plan::host("cp2").unwrap();
    let join = join_config(host, &secrets);
    assert!(join.contains("    apiServerEndpoint: 198.18.0.10:6443\n"));
    assert!(join.contains("    advertiseAddress: 198.18.0.12\n"));
    let init = init_config(plan::host("cp1").unwrap(), &secrets);
    assert!(init.contains("controlPlaneEndpoint: 198.18.0.10:6443\n"));
    assert!(init.contains("    imageTag: 3.6.16-0\n"));
    assert!(init.contains("kubernetesVersion: v1.36.3\n"));
}

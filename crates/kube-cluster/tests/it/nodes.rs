use crate::world;
use kube_cluster::{Access, Cluster, Deleted, Error, Ready, Timestamp};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_node_is_cordoned_and_declared_out_of_service_under_its_uid() {
    world::with(async |api, cluster| {
        world::node(&api, "node-1", &json!({}));
        let node = cluster.node("node-1").await.unwrap().unwrap();
        assert_eq!((node.cordoned, node.ready, node.is_blind()), (false, Ready::Unknown, true));
        cluster.set_cordoned("node-1", &node.uid, true).await.unwrap();
        let stranger = cluster.set_cordoned("node-1", "another-uid", false).await.unwrap_err();
        assert!(matches!(stranger, Error::Conflict { .. }), "{stranger}");
        let outdated = cluster.set_out_of_service(&node, true).await.unwrap_err();
        assert!(matches!(outdated, Error::Conflict { .. }), "{outdated}");
        let node = cluster.node("node-1").await.unwrap().unwrap();
        assert!(node.cordoned);
        cluster.set_out_of_service(&node, true).await.unwrap();
        let node = cluster.node("node-1").await.unwrap().unwrap();
        assert!(node.is_out_of_service());
        cluster.set_cordoned("node-1", &node.uid, false).await.unwrap();
        let node = cluster.node("node-1").await.unwrap().unwrap();
        cluster.set_out_of_service(&node, false).await.unwrap();
        let shown = api.get("/api/v1/nodes/node-1").unwrap();
        assert!(shown["spec"]["unschedulable"].is_null(), "{shown}");
        let taints = shown["spec"]["taints"].to_string();
        assert!(!taints.contains("out-of-service"), "{taints}");
    });
}

#[test]
fn a_kubelets_lease_tells_its_age_by_the_servers_clock() {
    world::with(async |api, cluster| {
        world::node(&api, "node-2", &json!({}));
        let old = Timestamp::now() - Duration::from_secs(100);
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "node-2"},
            "spec": {"holderIdentity": "node-2", "leaseDurationSeconds": 40, "renewTime": format!("{old:.6}")}});
        api.create("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", &lease)
            .unwrap();
        let age = cluster.node("node-2").await.unwrap().unwrap().lease_age.unwrap();
        assert!((98..130).contains(&age.as_secs()), "{age:?}");
        let all = cluster.nodes().await.unwrap();
        assert!(
            all.iter()
                .any(|node| node.name == "node-2" && node.is_blind() && node.lease_age.is_some())
        );
    });
}

#[test]
fn a_node_is_deleted_by_uid_only_and_waits_for_its_finalizers() {
    world::with(async |api, cluster| {
        assert_eq!(cluster.node("node-3").await.unwrap(), None);
        world::node(&api, "node-3", &json!({}));
        let uid = cluster.node("node-3").await.unwrap().unwrap().uid;
        assert_eq!(cluster.delete_node("node-3", "another-uid").await.unwrap(), Deleted::Replaced);
        api.edit("/api/v1/nodes/node-3", |node| {
            node["metadata"]["finalizers"] = json!(["quorate.io/test"]);
        })
        .unwrap();
        assert_eq!(cluster.delete_node("node-3", &uid).await.unwrap(), Deleted::Accepted);
        let node = cluster.node("node-3").await.unwrap().unwrap();
        assert!(node.deleting && node.finalizers == ["quorate.io/test"]);
        api.edit("/api/v1/nodes/node-3", |node| node["metadata"]["finalizers"] = json!([]))
            .unwrap();
        assert_eq!(cluster.delete_node("node-3", &uid).await.unwrap(), Deleted::Gone);
    });
}

#[test]
fn a_node_password_is_found_and_deleted_unread() {
    world::with(async |api, cluster| {
        let secrets = "/api/v1/namespaces/kube-system/secrets";
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "node-4.node-password.k3s"}, "stringData": {"hash": "x"}});
        assert_eq!(cluster.node_password_secret("node-4").await.unwrap(), None);
        api.create(secrets, &secret).unwrap();
        let found = cluster.node_password_secret("node-4").await.unwrap().unwrap();
        assert_eq!(found.name, "node-4.node-password.k3s");
        assert_eq!(cluster.delete_secret(&found).await.unwrap(), Deleted::Accepted);
        assert_eq!(cluster.delete_secret(&found).await.unwrap(), Deleted::Gone);
    });
}

#[test]
fn one_apiserver_is_asked_by_its_own_address() {
    world::with(async |api, cluster| {
        let access = Access::at(api.kubeconfig());
        let address = api.url().replace("https://", "");
        assert_eq!(Cluster::readyz_at(&access, &address).await.unwrap(), Ok(()));
        assert!(cluster.version().await.unwrap().starts_with("v1."));
        assert_eq!(cluster.namespace_uid("kube-system").await.unwrap().len(), 36);
        let dead = Cluster::readyz_at(&access, "127.0.0.1:1").await.unwrap_err();
        assert!(
            matches!(&dead, Error::Unreachable { why, .. } if why.contains("127.0.0.1:1")),
            "{dead}"
        );
    });
}

//! Objects that tests arrange, with the independent tool.

use kube_cluster::{Access, Cluster};
use serde_json::{Value, json};
use std::{future::Future, sync::Arc};
use testkit::apiserver::Apiserver;

/// Runs a test against the apiserver.
pub fn with<F: Future<Output = ()>>(test: impl FnOnce(Arc<Apiserver>, Cluster) -> F) {
    let api = Apiserver::shared().unwrap_or_else(|error| panic!("{error:#}"));
    let run = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    run.block_on(async {
        let cluster = Cluster::open(&Access::at(api.kubeconfig())).await.unwrap();
        test(api, cluster).await;
    });
}

pub fn node(api: &Apiserver, name: &str, labels: &Value) -> Value {
    let metadata = json!({"name": name, "labels": labels});
    api.create("/api/v1/nodes", &json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}))
        .unwrap()
}

/// A pod that is gone as soon as it is deleted, for there is no kubelet to end it.
pub fn pod(api: &Apiserver, node: &str, name: &str, labels: &Value) -> Value {
    let metadata = json!({"name": name, "labels": labels});
    let spec = json!({"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    api.create("/api/v1/namespaces/default/pods", &pod).unwrap();
    let path = format!("/api/v1/namespaces/default/pods/{name}/status");
    api.edit(&path, |pod| {
        pod["status"] =
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    })
    .unwrap()
}

pub fn budget(api: &Apiserver, name: &str, app: &str, allowed: u32) {
    let all = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": app}}});
    let object = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec});
    api.create(all, &object).unwrap();
    allow(api, name, allowed);
}

/// What the disruption controller would write.
pub fn allow(api: &Apiserver, name: &str, allowed: u32) {
    let path = format!("/apis/policy/v1/namespaces/default/poddisruptionbudgets/{name}/status");
    api.edit(&path, |budget| {
        let generation = budget["metadata"]["generation"].clone();
        budget["status"] = json!({"observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": 1 + allowed, "desiredHealthy": 1, "expectedPods": 1 + allowed});
    })
    .unwrap();
}

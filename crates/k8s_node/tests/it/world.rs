//! Objects that tests arrange, with the independent tool, and the built program.

use kube_cluster::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, Weak},
    thread,
    time::Duration,
};
use testkit::{
    apiserver::Apiserver,
    module::{Call, Reply},
};

pub struct World {
    pub api: Arc<Apiserver>,
    /// The nodes whose kubelet runs.
    alive: Arc<Mutex<BTreeSet<String>>>,
}

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

impl World {
    pub fn new() -> Self {
        Self::over(Apiserver::shared().unwrap_or_else(|error| panic!("{error:#}")))
    }

    /// Of its own, for what holds for the whole cluster.
    pub fn alone() -> Self {
        Self::over(Arc::new(Apiserver::start().unwrap_or_else(|error| panic!("{error:#}"))))
    }

    fn over(api: Arc<Apiserver>) -> Self {
        let alive = Arc::new(Mutex::new(BTreeSet::new()));
        let (kubelets, server) = (Arc::downgrade(&alive), Arc::downgrade(&api));
        thread::spawn(move || while renew(&kubelets, &server).is_some() {});
        Self { api, alive }
    }

    pub fn call(&self, name: &str, state: &str, more: &Value) -> Call {
        let mut args = json!({"kubeconfig": self.api.kubeconfig(), "name": name, "state": state});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Call::new(env!("CARGO_BIN_EXE_k8s_node"), &args)
    }

    pub fn run(&self, name: &str, state: &str, more: &Value) -> Reply {
        self.call(name, state, more).run()
    }

    /// A worker whose kubelet was heard of this long ago.
    pub fn worker(&self, name: &str, silent: Duration) -> Value {
        self.node(name, &json!({}), silent)
    }

    /// A node of the control plane with all its static pods.
    pub fn control_plane(&self, name: &str, silent: Duration, ready: bool) -> Value {
        let node = self.node(name, &json!({"node-role.kubernetes.io/control-plane": ""}), silent);
        for role in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
            let metadata = json!({"name": format!("{role}-{name}"), "labels": {"tier": "control-plane", "component": role}, "annotations": {"kubernetes.io/config.mirror": "x"}});
            self.create_pod("kube-system", name, &metadata, json!({}), ready);
        }
        node
    }

    fn node(&self, name: &str, labels: &Value, silent: Duration) -> Value {
        let metadata = json!({"name": name, "labels": labels});
        let node = self
            .api
            .create(
                "/api/v1/nodes",
                &json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}),
            )
            .unwrap();
        self.api.edit(&format!("/api/v1/nodes/{name}/status"), |node| {
            node["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "127.0.0.99"}]});
        }).unwrap();
        let spec =
            json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": ago(silent)});
        self.api.create(LEASES, &json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec})).unwrap();
        self.lives(name, silent.is_zero());
        node
    }

    fn lives(&self, name: &str, lives: bool) {
        let mut alive = self.alive.lock().unwrap();
        if lives {
            alive.insert(name.to_owned())
        } else {
            alive.remove(name)
        };
    }

    /// Its kubelet was heard of this long ago, and goes on if that is now.
    pub fn hear(&self, name: &str, silent: Duration) {
        self.lives(name, silent.is_zero());
        self.api
            .edit(&format!("{LEASES}/{name}"), |lease| {
                lease["spec"]["renewTime"] = json!(ago(silent));
            })
            .unwrap();
    }

    /// A pod of a controller, gone as soon as it is deleted: there is no kubelet to end it.
    pub fn pod(&self, node: &str, name: &str, app: &str) {
        self.pod_with(node, name, app, json!({"terminationGracePeriodSeconds": 0}));
    }

    pub fn pod_with(&self, node: &str, name: &str, app: &str, spec: Value) {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": "0b5f3c1e-0000-4000-8000-000000000000", "controller": true}]);
        self.create_pod(
            "default",
            node,
            &json!({"name": name, "labels": {"app": app}, "ownerReferences": owner}),
            spec,
            true,
        );
    }

    pub fn unmanaged(&self, node: &str, name: &str, spec: Value) {
        self.create_pod("default", node, &json!({"name": name}), spec, true);
    }

    fn create_pod(
        &self,
        namespace: &str,
        node: &str,
        metadata: &Value,
        mut spec: Value,
        ready: bool,
    ) {
        spec["nodeName"] = json!(node);
        spec["containers"] = json!([{"name": "c", "image": "i"}]);
        // A mirror pod has to belong to its node; the kubelet would see to that.
        let mut metadata = metadata.clone();
        if namespace == "kube-system" {
            let uid =
                self.api.get(&format!("/api/v1/nodes/{node}")).unwrap()["metadata"]["uid"].clone();
            metadata["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid, "controller": true}]);
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        self.api.create(&format!("/api/v1/namespaces/{namespace}/pods"), &pod).unwrap();
        let name = metadata["name"].as_str().unwrap();
        self.api
            .edit(&format!("/api/v1/namespaces/{namespace}/pods/{name}/status"), |pod| {
                let ready = if ready { "True" } else { "False" };
                pod["status"] =
                    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
            })
            .unwrap();
    }

    pub fn budget(&self, name: &str, app: &str, allowed: u32) {
        let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": app}}});
        let object = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec});
        self.api
            .create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", &object)
            .unwrap();
        self.allow(name, allowed);
    }

    /// What the disruption controller would write.
    pub fn allow(&self, name: &str, allowed: u32) {
        let path = format!("/apis/policy/v1/namespaces/default/poddisruptionbudgets/{name}/status");
        self.api.edit(&path, |budget| {
            let generation = budget["metadata"]["generation"].clone();
            budget["status"] = json!({"observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": 1 + allowed, "desiredHealthy": 1, "expectedPods": 1 + allowed});
        }).unwrap();
    }

    pub fn get_node(&self, name: &str) -> Option<Value> {
        self.api.get(&format!("/api/v1/nodes/{name}")).ok()
    }
}

/// What every kubelet does each ten seconds: a test on a slow machine takes longer than a lease lasts. None when the world has ended.
fn renew(kubelets: &Weak<Mutex<BTreeSet<String>>>, server: &Weak<Apiserver>) -> Option<()> {
    for _ in 0..50 {
        kubelets.upgrade()?;
        thread::sleep(Duration::from_millis(200));
    }
    // Held meanwhile, so that one who falls silent is not renewed afterwards.
    let alive = kubelets.upgrade()?;
    for name in alive.lock().unwrap().iter() {
        // The test may just be deleting it.
        _ = server.upgrade()?.edit(&format!("{LEASES}/{name}"), |lease| {
            lease["spec"]["renewTime"] = json!(ago(Duration::ZERO));
        });
    }
    Some(())
}

fn ago(silent: Duration) -> String {
    let renewed = Timestamp::now() - silent;
    format!("{renewed:.6}")
}

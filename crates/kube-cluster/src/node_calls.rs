//! What is asked about nodes, and done to them.

use crate::{
    Access, Cluster, Error, Node, OUT_OF_SERVICE, Taint,
    call::{Answer, Bare, List},
    node::{LeaseObject, NodeObject, age},
};
use serde_json::{Value, json};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
/// What the taint says, as the Kubernetes documentation has it.
const SHUTDOWN: &str = "nodeshutdown";

/// What became of a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deleted {
    /// Accepted; finalizers may still hold the object.
    Accepted,
    /// There is none.
    Gone,
    /// The object of this name has another UID, and was left alone.
    Replaced,
}

/// A Secret of which the content was never read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

impl Cluster {
    /// Every Node, with the age of its kubelet's lease.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        let nodes: List<NodeObject> = self.get("/api/v1/nodes").await?;
        let Answer { value: leases, date } = self.get_dated::<List<LeaseObject>>(LEASES).await?;
        let lease_age = |name: &str| {
            let lease = leases.items.iter().find(|lease| lease.metadata.name == name);
            lease.and_then(|lease| age(lease.spec.renew_time.as_deref(), date))
        };
        let valued = nodes.items.into_iter().map(|node| {
            let age = lease_age(node.name());
            node.value(age)
        });
        Ok(valued.collect())
    }

    /// A Node, or none.
    pub async fn node(&self, name: &str) -> Result<Option<Node>, Error> {
        let node = match self.get::<NodeObject>(&format!("/api/v1/nodes/{name}")).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let lease_age = match self.get_dated::<LeaseObject>(&format!("{LEASES}/{name}")).await {
            Err(Error::NotFound { .. }) => None,
            other => other.map(|lease| age(lease.value.spec.renew_time.as_deref(), lease.date))?,
        };
        Ok(Some(node.value(lease_age)))
    }

    /// Keeps new pods away from a Node, or lets them come again; a Node of another UID is left alone.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the Node of this name has another UID.
    pub async fn set_cordoned(&self, node: &str, uid: &str, cordoned: bool) -> Result<(), Error> {
        let wanted = if cordoned { json!(true) } else { Value::Null };
        self.change_node(
            node,
            &json!({"metadata": {"uid": uid}, "spec": {"unschedulable": wanted}}),
        )
        .await
    }

    /// Declares a Node out of service, or takes that back. The list of taints is written whole, under the resourceVersion it was read with: the
    /// node lifecycle controller writes it too.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the Node changed since it was read.
    pub async fn set_out_of_service(&self, node: &Node, out: bool) -> Result<(), Error> {
        let mut taints = node.taints.clone();
        taints.retain(|taint| taint.key != OUT_OF_SERVICE);
        if out {
            let (key, value) = (OUT_OF_SERVICE.to_owned(), Some(SHUTDOWN.to_owned()));
            taints.push(Taint { key, value, effect: "NoExecute".into(), time_added: None });
        }
        let metadata = json!({"uid": node.uid, "resourceVersion": node.resource_version});
        self.change_node(&node.name, &json!({"metadata": metadata, "spec": {"taints": taints}}))
            .await
    }

    async fn change_node(&self, node: &str, part: &Value) -> Result<(), Error> {
        self.merge::<Bare>(&format!("/api/v1/nodes/{node}"), part).await.map(drop)
    }

    /// Deletes the Node of this name and UID.
    pub async fn delete_node(&self, name: &str, uid: &str) -> Result<Deleted, Error> {
        deleted(self.delete(&format!("/api/v1/nodes/{name}"), uid).await)
    }

    /// The Secret in which k3s or RKE2 remembers a node's password. It keeps a reimaged server from joining under the same name.
    pub async fn node_password_secret(&self, node: &str) -> Result<Option<Secret>, Error> {
        for kind in ["k3s", "rke2"] {
            let name = format!("{}.node-password.{kind}", node.to_lowercase());
            let path = format!("/api/v1/namespaces/kube-system/secrets/{name}");
            match self.get_metadata::<Bare>(&path).await {
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
                Ok(found) => {
                    let (namespace, uid) = ("kube-system".into(), found.metadata.uid);
                    return Ok(Some(Secret { namespace, name, uid }));
                }
            }
        }
        Ok(None)
    }

    /// Deletes a Secret.
    pub async fn delete_secret(&self, secret: &Secret) -> Result<Deleted, Error> {
        let Secret { namespace, name, uid } = secret;
        deleted(self.delete(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"), uid).await)
    }

    /// The UID of a namespace. That of kube-system tells two clusters apart, except after one was split from the other.
    pub async fn namespace_uid(&self, name: &str) -> Result<String, Error> {
        let found: Bare = self.get_metadata(&format!("/api/v1/namespaces/{name}")).await?;
        Ok(found.metadata.uid)
    }

    /// The apiserver's version, as `v1.36.3`.
    pub async fn version(&self) -> Result<String, Error> {
        let version: Value = self.get("/version").await?;
        let read = version.get("gitVersion").and_then(Value::as_str).map(str::to_owned);
        read.ok_or_else(|| Error::Garbled {
            call: "GET /version".into(),
            why: "no gitVersion".into(),
        })
    }

    /// Whether this apiserver says that it is ready; the checks that failed otherwise.
    pub async fn readyz(&self) -> Result<Result<(), String>, Error> {
        let (status, text) = self.text("/readyz").await?;
        let failed =
            text.lines().filter(|line| line.starts_with("[-]")).collect::<Vec<_>>().join("; ");
        let failed = if failed.is_empty() { text.trim().to_owned() } else { failed };
        Ok(if status.is_success() { Ok(()) } else { Err(format!("status {status}: {failed}")) })
    }

    /// Asks the apiserver at one address whether it is ready: `198.18.0.12` or `198.18.0.12:6443`.
    ///
    /// The certificate must be valid for that address, and the kubeconfig's client certificate is shown, as k3s demands.
    pub async fn readyz_at(access: &Access, address: &str) -> Result<Result<(), String>, Error> {
        let bare_v6 = address.matches(':').count() > 1 && !address.starts_with('[');
        let server = match (bare_v6, address.contains("]:") || address.matches(':').count() == 1) {
            (true, _) => format!("https://[{address}]:6443"),
            (false, true) => format!("https://{address}"),
            (false, false) => format!("https://{address}:6443"),
        };
        Self::open(&access.to_server(server)).await?.readyz().await
    }
}

fn deleted(answer: Result<(), Error>) -> Result<Deleted, Error> {
    match answer {
        Ok(()) => Ok(Deleted::Accepted),
        Err(Error::NotFound { .. }) => Ok(Deleted::Gone),
        Err(Error::Conflict { .. }) => Ok(Deleted::Replaced),
        Err(error) => Err(error),
    }
}

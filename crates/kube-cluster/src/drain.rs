//! Pods of a node, what holds them there, and evictions.

use crate::{
    Cluster, Error, Pod, Selector,
    call::{List, Meta},
    pod::PodObject,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use std::time::Duration;

/// What kubectl waits before it asks again, where the server names no delay.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A `PodDisruptionBudget`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Namespace; it covers pods of this one only.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Pods it covers; none covers no pod.
    pub selector: Option<Selector>,
    /// How many pods may go at this moment.
    pub disruptions_allowed: u32,
}

impl Budget {
    /// Whether an eviction of this pod is charged to it.
    pub fn covers(&self, pod: &Pod) -> bool {
        let matches = self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
        pod.namespace == self.namespace && matches
    }
}

/// What became of an eviction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evicted {
    /// The pod is on its way out.
    Accepted,
    /// There is no such pod any more, or another one has taken its name.
    Gone,
    /// Not now: when to ask again, and what holds it.
    Held {
        /// The server's delay, or kubectl's 5 s.
        after: Duration,
        /// The server's words; they name the budget.
        why: String,
    },
}

#[derive(Deserialize)]
struct BudgetObject {
    metadata: Meta,
    #[serde(default)]
    spec: BudgetSpec,
    #[serde(default)]
    status: BudgetStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BudgetSpec {
    selector: Option<Selector>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct BudgetStatus {
    disruptions_allowed: u32,
}

#[derive(Deserialize)]
struct AttachmentObject {
    metadata: Meta,
    #[serde(default)]
    spec: AttachmentSpec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct AttachmentSpec {
    node_name: String,
}

impl Cluster {
    /// Every pod that is bound to a node.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, Error> {
        self.pods(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")).await
    }

    pub(crate) async fn pods(&self, path: &str) -> Result<Vec<Pod>, Error> {
        let list: List<PodObject> = self.get(path).await?;
        Ok(list.items.into_iter().map(PodObject::value).collect())
    }

    /// Every disruption budget.
    pub async fn budgets(&self) -> Result<Vec<Budget>, Error> {
        let list: List<BudgetObject> = self.get("/apis/policy/v1/poddisruptionbudgets").await?;
        let value = |object: BudgetObject| Budget {
            namespace: object.metadata.namespace,
            name: object.metadata.name,
            selector: object.spec.selector,
            disruptions_allowed: object.status.disruptions_allowed,
        };
        Ok(list.items.into_iter().map(value).collect())
    }

    /// Names of the `VolumeAttachment`s of a node: volumes that may still be written there, and that no other node can attach.
    pub async fn attachments(&self, node: &str) -> Result<Vec<String>, Error> {
        let list: List<AttachmentObject> =
            self.get("/apis/storage.k8s.io/v1/volumeattachments").await?;
        let here = list.items.into_iter().filter(|object| object.spec.node_name == node);
        Ok(here.map(|object| object.metadata.name).collect())
    }

    /// Evicts one pod, by name and UID, with its own grace period or another.
    ///
    /// The request is our own: kube 5 spells the field of the delete options `delete_options`, which the server drops, and the UID with it.
    pub async fn evict(&self, pod: &Pod, grace: Option<Duration>) -> Result<Evicted, Error> {
        let Pod { namespace, name, uid, .. } = pod;
        let mut options = json!({"preconditions": {"uid": uid}});
        if let (Some(grace), Some(options)) = (grace, options.as_object_mut()) {
            options.insert("gracePeriodSeconds".into(), grace.as_secs().into());
        }
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "deleteOptions": options,
            "metadata": {"name": name, "namespace": namespace}});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        evicted(self.post::<IgnoredAny>(&path, &body).await)
    }
}

fn evicted(answer: Result<IgnoredAny, Error>) -> Result<Evicted, Error> {
    match answer {
        Ok(_) => Ok(Evicted::Accepted),
        Err(Error::NotFound { .. } | Error::Conflict { .. }) => Ok(Evicted::Gone),
        Err(Error::NotNow { why, after, .. }) => {
            Ok(Evicted::Held { after: after.unwrap_or(ASK_AGAIN), why })
        }
        // More than one budget covers the pod: no eviction ever succeeds, until somebody removes one.
        Err(Error::Denied { status: 500, why, .. }) if why.contains("PodDisruptionBudget") => {
            Ok(Evicted::Held { after: ASK_AGAIN, why })
        }
        // Its namespace is being deleted, and the pod with it.
        Err(Error::Denied { status: 403, why, .. }) if why.contains("being terminated") => {
            Ok(Evicted::Held { after: ASK_AGAIN, why })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(status: u16, why: &str) -> Result<IgnoredAny, Error> {
        Err(Error::Denied { call: "POST /x".into(), status, why: why.into() })
    }

    #[test]
    fn what_holds_a_pod_is_no_error() {
        let not_now =
            |after| Err(Error::NotNow { call: "POST /x".into(), why: "budget web".into(), after });
        let held = |seconds, why: &str| Evicted::Held {
            after: Duration::from_secs(seconds),
            why: why.into(),
        };
        assert_eq!(evicted(not_now(Some(Duration::from_secs(10)))), Ok(held(10, "budget web")));
        assert_eq!(evicted(not_now(None)), Ok(held(5, "budget web")));
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        assert_eq!(evicted(denied(500, two)), Ok(held(5, two)));
        assert!(evicted(denied(500, "etcdserver: request timed out")).is_err());
        assert!(evicted(denied(403, "pods is forbidden")).is_err());
    }

    #[test]
    fn a_pod_that_is_gone_or_replaced_was_evicted() {
        let call = || "POST /x".to_owned();
        assert_eq!(evicted(Err(Error::NotFound { call: call() })), Ok(Evicted::Gone));
        assert_eq!(
            evicted(Err(Error::Conflict { call: call(), why: "uid".into() })),
            Ok(Evicted::Gone)
        );
    }
}

//! The doors to the cluster.

use crate::{
    args::{Etcd, State, Wanted},
    state::{Act, Member, Node, Observed, Other, Pod, Ready, Step},
};
use ansible_module::{Applied, Refusal};
use anyhow::{Context, bail};
use etcd_cluster::matching::host_and_port;
use kube_cluster::{Budget, Cluster, Deleted, Error, Evicted, Holder, LockName, Owner};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Evictions under way at a time.
const AT_ONCE: usize = 10;
/// Before a pod is tried again whose eviction failed for a reason that may pass.
const AGAIN: Duration = Duration::from_secs(2);

/// Speaks to the cluster for one run.
pub struct Kubernetes {
    cluster: Cluster,
    etcd: Option<etcd_cluster::Cluster>,
    grace: Option<Duration>,
    opened: Instant,
    /// What was read last, which the next call is made on.
    node: Option<kube_cluster::Node>,
    pods: Vec<kube_cluster::Pod>,
    /// Evictions the server put off, by the pod's UID: until when, and in its words.
    held: BTreeMap<String, (Instant, String)>,
    /// The UID that was deleted.
    deleted: Option<String>,
}

impl Kubernetes {
    /// Connects to nothing yet.
    pub async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let cluster =
            Cluster::open(&wanted.access).await.context("prepare to reach the cluster")?;
        let etcd = wanted.etcd.as_ref().filter(|_| wanted.state == State::Absent);
        let etcd = etcd.map(|etcd| {
            let Etcd { endpoints, ca_cert, client_cert, client_key } = etcd.clone();
            let access = etcd_cluster::Access::for_endpoints(
                &endpoints,
                &[ca_cert, client_cert, client_key],
            );
            Ok::<_, anyhow::Error>(etcd_cluster::Cluster::new(
                access.context("prepare to reach etcd")?,
                &endpoints,
            ))
        });
        Ok(Self {
            cluster,
            etcd: etcd.transpose()?,
            grace: wanted.grace,
            opened: Instant::now(),
            node: None,
            pods: vec![],
            held: BTreeMap::new(),
            deleted: None,
        })
    }

    /// Reads what the wanted state is decided on.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let mut observed = Observed {
            name: wanted.name.clone(),
            elapsed: self.opened.elapsed().as_secs(),
            ..Observed::default()
        };
        match wanted.state {
            State::Cordoned | State::Uncordoned | State::Ready | State::Current => {
                self.node = self
                    .cluster
                    .node(&wanted.name)
                    .await
                    .with_context(|| format!("read the Node {}", wanted.name))?;
            }
            State::Drained | State::Absent => self.read_planes(wanted, &mut observed).await?,
        }
        if wanted.state == State::Drained && self.node.is_some() {
            self.read_pods(wanted, &mut observed).await?;
        }
        if wanted.state == State::Absent {
            let secret = self
                .cluster
                .node_password_secret(&wanted.name)
                .await
                .context("look for the node's password")?;
            observed.password = secret.map(|secret| secret.name);
        }
        observed.node = self.node.as_ref().map(node);
        observed.deleted.clone_from(&self.deleted);
        Ok(observed)
    }

    async fn read_planes(
        &mut self,
        wanted: &Wanted,
        observed: &mut Observed,
    ) -> anyhow::Result<()> {
        let (nodes, components) = tokio::join!(self.cluster.nodes(), self.cluster.components());
        let (nodes, components) = (
            nodes.context("read the Nodes")?,
            components.context("read the control plane's pods")?,
        );
        let planes = kube_cluster::planes(&nodes, &components);
        let stacked = planes.iter().any(|plane| plane.etcd);
        let others = planes.into_iter().filter(|plane| plane.node != wanted.name);
        observed.others =
            others.map(|plane| Other { name: plane.node, missing: plane.missing }).collect();
        self.node = nodes.into_iter().find(|node| node.name == wanted.name);
        if let Some(node) = self.node.clone().filter(|_| wanted.state == State::Absent) {
            observed.member = self.member(&node, stacked).await;
        }
        Ok(())
    }

    /// Who is listed is asked before the Node goes, and matched by name and by address: either is reason enough to wait.
    async fn member(&mut self, node: &kube_cluster::Node, stacked: bool) -> Member {
        let needed = node.has_etcd_label() || (node.is_control_plane() && stacked);
        let Some(etcd) = self.etcd.as_mut() else {
            return if needed { Member::Unasked } else { Member::Unneeded };
        };
        let members = match Box::pin(etcd.members()).await {
            Ok(members) => members,
            Err(error) => return Member::Unknown(error.to_string()),
        };
        let is_own = |member: &&etcd_cluster::Member| {
            let named = member.name == node.name || node.etcd_name() == Some(member.name.as_str());
            named
                || member.peer_urls.iter().any(|url| node.addresses.contains(&host_and_port(url).0))
        };
        members
            .iter()
            .find(is_own)
            .map_or(Member::Unlisted, |member| Member::Listed(member.label()))
    }

    async fn read_pods(&mut self, wanted: &Wanted, observed: &mut Observed) -> anyhow::Result<()> {
        let name = &wanted.name;
        let (pods, budgets, attachments) = tokio::join!(
            self.cluster.pods_on(name),
            self.cluster.budgets(),
            self.cluster.attachments(name)
        );
        self.pods = pods.with_context(|| format!("read the pods on {name}"))?;
        let budgets = budgets.context("read the disruption budgets")?;
        observed.attachments = attachments.context("read the volume attachments")?;
        observed.pods =
            self.pods.iter().map(|one| pod(one, self.held.get(&one.uid), &budgets)).collect();
        Ok(())
    }

    /// Proves that the lock is still the caller's, where one was given.
    pub async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        let Some(holder) = &wanted.lock_holder else { return Ok(()) };
        let held = self.cluster.assert_held(&LockName::default(), &Holder::new(holder)).await;
        held.map(drop).map_err(|unproven| Refusal::finally(unproven.code(), unproven.to_string()))
    }

    /// Calls, under the UID and the version that the decision was made on.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        let Step { act, node: name, uid } = step;
        if let Act::ForgetPassword(secret) = act {
            return self.forget(name, secret).await;
        }
        let Some(node) = self.node.clone().filter(|node| node.uid == *uid) else {
            return Ok(again("the Node changed meanwhile"));
        };
        let sent = match act {
            Act::Cordon => self.cluster.set_cordoned(name, uid, true).await,
            Act::Uncordon => self.cluster.set_cordoned(name, uid, false).await,
            Act::OutOfService => self.cluster.set_out_of_service(&node, true).await,
            Act::InService => self.cluster.set_out_of_service(&node, false).await,
            Act::Evict => return self.evict(observed).await,
            Act::Delete => match self.cluster.delete_node(name, uid).await {
                Ok(Deleted::Accepted | Deleted::Gone) => {
                    self.deleted = Some(uid.clone());
                    Ok(())
                }
                Ok(Deleted::Replaced) => return Ok(again("the Node has another UID meanwhile")),
                Err(error) => Err(error),
            },
            _ => Ok(()),
        };
        match sent {
            Err(Error::Conflict { .. }) => Ok(again("the Node changed meanwhile")),
            sent => sent.map(|()| Applied::Sent).with_context(|| format!("{step}")),
        }
    }

    async fn forget(&self, name: &str, secret: &str) -> anyhow::Result<Applied> {
        let found = self
            .cluster
            .node_password_secret(name)
            .await
            .context("look for the node's password")?;
        if let Some(found) = found.filter(|found| found.name == secret) {
            self.cluster
                .delete_secret(&found)
                .await
                .with_context(|| format!("delete the Secret kube-system/{secret}"))?;
        }
        Ok(Applied::Sent)
    }

    /// Evicts what is due, at most ten, and says when to come back for the rest.
    async fn evict(&mut self, observed: &Observed) -> anyhow::Result<Applied> {
        let now = Instant::now();
        let stays = |uid: &String| {
            observed
                .pods
                .iter()
                .find(|pod| pod.uid == *uid)
                .is_none_or(|pod| pod.stays || pod.terminating)
        };
        let wait = |uid: &String| {
            self.held
                .get(uid)
                .map_or(Duration::ZERO, |(until, _)| until.saturating_duration_since(now))
        };
        let leaving: Vec<_> = self.pods.iter().filter(|pod| !stays(&pod.uid)).cloned().collect();
        let due: Vec<_> =
            leaving.iter().filter(|pod| wait(&pod.uid).is_zero()).take(AT_ONCE).cloned().collect();
        let mut calls = JoinSet::new();
        for pod in due.iter().cloned() {
            let (cluster, grace) = (self.cluster.clone(), self.grace);
            calls.spawn(async move { (cluster.evict(&pod, grace).await, pod) });
        }
        while let Some(called) = calls.join_next().await {
            let (answer, pod) = called.context("evict a pod")?;
            self.note(&pod, answer)?;
        }
        let (held, now) = (&self.held, Instant::now());
        let left = leaving.iter().filter(|pod| held.contains_key(&pod.uid) || !due.contains(pod));
        let wait = |uid: &String| {
            held.get(uid).map_or(Duration::ZERO, |(until, _)| until.saturating_duration_since(now))
        };
        let next = left.map(|pod| (wait(&pod.uid), pod)).min_by_key(|(wait, _)| *wait);
        Ok(next.map_or(Applied::Sent, |(wait, pod)| {
            let why = held
                .get(&pod.uid)
                .map_or_else(|| "more pods to evict".into(), |(_, why)| format!("{pod}: {why}"));
            Applied::Again(wait, why)
        }))
    }

    fn note(
        &mut self,
        pod: &kube_cluster::Pod,
        answer: Result<Evicted, Error>,
    ) -> anyhow::Result<()> {
        let (after, why) = match answer {
            Ok(Evicted::Accepted | Evicted::Gone) => {
                self.held.remove(&pod.uid);
                return Ok(());
            }
            Ok(Evicted::Held { after, why }) => (after, why),
            // Nothing that comes back to it helps.
            Err(error @ Error::Denied { status: 401 | 403, .. }) => bail!("evict {pod}: {error}"),
            Err(error) => (AGAIN, error.to_string()),
        };
        self.held.insert(pod.uid.clone(), (Instant::now() + after, why));
        Ok(())
    }
}

fn again(why: &str) -> Applied {
    Applied::Again(Duration::ZERO, why.to_owned())
}

fn node(node: &kube_cluster::Node) -> Node {
    Node {
        uid: node.uid.clone(),
        cordoned: node.cordoned,
        ready: match node.ready {
            kube_cluster::Ready::Yes => Ready::Yes,
            kube_cluster::Ready::No => Ready::No,
            kube_cluster::Ready::Unknown => Ready::Unknown,
        },
        lease_age: node.lease_age.map(|age| age.as_secs()),
        control_plane: node.is_control_plane(),
        out_of_service: node.is_out_of_service(),
        deleting: node.deleting,
        finalizers: node.finalizers.clone(),
    }
}

/// What holds a pod is what the server said of it, or else the budgets that allow no disruption at the moment.
fn pod(pod: &kube_cluster::Pod, held: Option<&(Instant, String)>, budgets: &[Budget]) -> Pod {
    let tight =
        budgets.iter().filter(|budget| budget.disruptions_allowed == 0 && budget.covers(pod));
    let tight: Vec<_> =
        tight.map(|budget| format!("{}/{}", budget.namespace, budget.name)).collect();
    let budget = (!tight.is_empty())
        .then(|| format!("is held by the PodDisruptionBudget {}", tight.join(" and ")));
    let told = held.map(|(_, why)| format!("is held: {why}"));
    Pod {
        name: pod.to_string(),
        uid: pod.uid.clone(),
        stays: matches!(pod.owner, Owner::Kubelet | Owner::DaemonSet(_)),
        unmanaged: pod.owner == Owner::Nobody,
        empty_dir: pod.empty_dir,
        finished: pod.finished,
        terminating: pod.terminating,
        held: budget.or(told).filter(|_| !pod.terminating),
    }
}

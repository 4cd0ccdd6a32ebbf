//! What the cluster says of this host.

use super::{refuse, socket};
use crate::{
    args::Wanted,
    state::{Belongs, Membership, NodeSeen, Readiness},
};
use ansible_module::Refusal;
use etcd_cluster::{
    Access as EtcdAccess, Cluster as Etcd, Connection, Member,
    certs::{Files, Tls},
    matching::host_and_port,
    reading::Status,
};
use host::file;
use kube_cluster::{Access, Cluster, Error, Fence};
use serde_json::json;
use std::path::Path;

/// kubeadm's kubeconfig of the administrator: it leads to the control plane's endpoint, not to this host.
pub(super) const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// Written for as long as it is read.
const TOKEN: &str = "/run/quorate/kubeadm-join.conf";

/// One reading of what the cluster says.
#[derive(Default)]
pub(super) struct Seen {
    pub member: Membership,
    pub foreign_join: Option<String>,
    pub belongs: Belongs,
    pub node: NodeSeen,
    pub api: Readiness,
    pub version: Option<String>,
}

/// The ways into the cluster, opened when this host has what they need.
#[derive(Default)]
pub(super) struct Views {
    etcd: Option<Etcd>,
    admin: Option<Cluster>,
    token: Option<Cluster>,
    version: Option<String>,
}

impl Views {
    pub(super) async fn read(&mut self, wanted: &Wanted, node: &str, address: &str) -> Seen {
        let mut seen = Seen::default();
        // A reset takes the kubeconfig away, and a connection made with it must go too.
        if file::exists(ADMIN).unwrap_or(false) {
            self.through_admin(&mut seen, wanted, node, address).await;
        } else {
            self.admin = None;
            self.through_token(&mut seen, wanted, node).await;
        }
        let members = Box::pin(self.members(wanted)).await;
        let own = Box::pin(own_status(address)).await;
        // By its id too: a member that serves here under another address is no remainder to clear.
        let is_own = |member: &&Member| {
            let by_id = own.as_ref().is_some_and(|own| own.member_id == member.id);
            by_id || member.name == node || is_at(member, address)
        };
        seen.member = match &members {
            Some(list) => role(list.iter().find(is_own)),
            None => wanted.listed.unwrap_or_default(),
        };
        let foreign =
            members.iter().flatten().find(|member| member.is_joining() && !is_own(member));
        seen.foreign_join = foreign.map(Member::label);
        seen.belongs = match own {
            None => Belongs::Unknown,
            Some(own) if own.cluster_id == wanted.cluster_id => Belongs::Same,
            Some(own) => {
                let (own, peers) = (own.cluster_id.to_string(), wanted.cluster_id.to_string());
                Belongs::Other { own, peers }
            }
        };
        seen
    }

    async fn through_admin(&mut self, seen: &mut Seen, wanted: &Wanted, node: &str, address: &str) {
        let access = Access::at(ADMIN);
        if self.admin.is_none() {
            self.admin = Cluster::open(&access).await.ok();
        }
        if let Some(cluster) = &self.admin {
            seen.node = node_seen(cluster.node(node).await);
        }
        seen.api = match Cluster::readyz_at(&access, &socket(address, wanted.bind_port)).await {
            Ok(Ok(())) => Readiness::Ready,
            Ok(Err(why)) => Readiness::Not(why),
            Err(error) => Readiness::Not(error.to_string()),
        };
    }

    /// What a bootstrap token may read (kubeadm:get-nodes): whether a Node of the name exists, and the version.
    async fn through_token(&mut self, seen: &mut Seen, wanted: &Wanted, node: &str) {
        if self.token.is_none() {
            self.token = with_token(wanted).await;
        }
        let Some(cluster) = &self.token else { return };
        seen.node = node_seen(cluster.node(node).await);
        if self.version.is_none() {
            self.version = cluster.version().await.ok();
        }
        seen.version.clone_from(&self.version);
    }

    async fn members(&mut self, wanted: &Wanted) -> Option<Vec<Member>> {
        if self.etcd.is_none() {
            let tls = Tls::read(&Files::kubeadm(Path::new("/"))).ok()?;
            self.etcd = Some(Etcd::new(EtcdAccess::new(Some(tls)), &wanted.etcd_endpoints));
        }
        match &mut self.etcd {
            Some(etcd) => Box::pin(etcd.members()).await.ok(),
            None => None,
        }
    }
}

/// What the etcd on this host says of itself; none when it does not run.
async fn own_status(address: &str) -> Option<Status> {
    let tls = Tls::read(&Files::kubeadm(Path::new("/"))).ok()?;
    let url = format!("https://{}", socket(address, 2379));
    Connection::new(&EtcdAccess::new(Some(tls)), &url).await.ok()?.status().await.ok()
}

/// The token as a kubeconfig, which lies in a file only while it is opened.
async fn with_token(wanted: &Wanted) -> Option<Cluster> {
    let pem = wanted.ca_certificate.as_ref()?;
    let pins = host::certificate::pins(pem).ok()?;
    // A certificate that does not fit the pin must not vouch for anybody.
    if !pins
        .iter()
        .any(|pin| wanted.ca_cert_hashes.iter().any(|hash| hash.eq_ignore_ascii_case(pin)))
    {
        return None;
    }
    let (ca, server) = (format!("{TOKEN}.ca"), format!("https://{}", wanted.endpoint));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "join",
        "clusters": [{"name": "join", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "join", "user": {"token": wanted.token.expose()}}],
        "contexts": [{"name": "join", "context": {"cluster": "join", "user": "join"}}],
    });
    file::make_dir("/run/quorate", 0o700).ok()?;
    file::write(&ca, pem.as_bytes(), file::PRIVATE).ok()?;
    file::write(TOKEN, config.to_string().as_bytes(), file::PRIVATE).ok()?;
    let opened = Cluster::open(&Access::at(TOKEN)).await.ok();
    for path in [TOKEN, &ca] {
        let _ = file::remove(path);
    }
    opened
}

/// The lock lies in the cluster: a host that cannot read it yet (fresh, or cleared) is fenced by the tasks on its peers.
///
/// # Errors
/// The lock is not this run's own any more, or that cannot be told.
pub async fn assert_held(wanted: &Wanted) -> Result<(), Refusal> {
    let Some(holder) = &wanted.lock_holder else { return Ok(()) };
    if !file::exists(ADMIN).unwrap_or(false) {
        return Ok(());
    }
    let fence = Fence::new(Some(ADMIN.into()), holder);
    kube_cluster::assert_held(&fence).await.map(drop).map_err(|reason| refuse(&reason))
}

fn node_seen(answer: Result<Option<kube_cluster::Node>, Error>) -> NodeSeen {
    match answer {
        Ok(None) => NodeSeen::Absent,
        Ok(Some(node)) => NodeSeen::There { up: node.is_up(), marked: node.is_control_plane() },
        // A bootstrap token may read Nodes and not their leases: this one exists.
        Err(Error::Denied { call, .. }) if call.contains("/leases/") => {
            NodeSeen::There { up: false, marked: false }
        }
        Err(_) => NodeSeen::Unknown,
    }
}

fn role(own: Option<&Member>) -> Membership {
    match own {
        None => Membership::None,
        Some(member) if !member.is_voter() && member.is_nameless() => Membership::Nameless,
        Some(member) if !member.is_voter() => Membership::Learner,
        Some(_) => Membership::Voter,
    }
}

fn is_at(member: &Member, address: &str) -> bool {
    member.peer_urls.iter().any(|url| host_and_port(url).0 == address.to_lowercase())
}

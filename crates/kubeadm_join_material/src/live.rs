//! Reading and changing the cluster.

use crate::{
    api::{Api, FOR_NODE, KEY_HASH, UPLOADED},
    args::{Join, Wanted},
    plan::Step,
    state::{Certificates, Closed, Facts, Membership, NodeSeen, Observed, Token},
};
use ansible_module::{Applied, Refusal};
use anyhow::{Context, Result, anyhow};
use etcd_cluster::{
    Access as EtcdAccess, Cluster as Etcd, Evidence, Member, Operation, Reading,
    certs::{Files, Tls},
    gate,
    matching::host_and_port,
};
use host::Command;
use kube_cluster::{Access, Cluster, Fence, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const CERTIFICATES: &str = "kubeadm-certs";
/// The group that kubeadm's own roles for joining are bound to (`NodeBootstrapTokenAuthGroup`).
const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
/// kubeadm lets uploaded certificates live for two hours; less than this is left of them afterwards, and a join must not begin with them.
const FRESH: Duration = Duration::from_mins(90);

const TRIES: u8 = 4;

/// The module at work.
pub struct KubeadmJoinMaterial {
    api: Api,
    kube: Cluster,
    etcd: Etcd,
    kubeconfig: PathBuf,
    node: String,
    join: Option<Join>,
    configuration: Option<String>,
}

impl KubeadmJoinMaterial {
    pub(crate) async fn connect(wanted: &Wanted) -> Result<Self> {
        let access = Access { kubeconfig: wanted.kubeconfig.clone(), ..Access::default() };
        let kubeconfig = access.path()?;
        let [ca, cert, key] = &wanted.files;
        let files = Files::find(Path::new("/"), ca.as_deref(), cert.as_deref(), key.as_deref())?;
        let tls = Tls::read(&files).map_err(|why| anyhow!(why))?;
        Ok(Self {
            api: Api::open(&kubeconfig).await?,
            kube: Cluster::open(&access).await?,
            etcd: Etcd::new(EtcdAccess::new(Some(tls)), &wanted.endpoints),
            kubeconfig,
            node: wanted.node.clone(),
            join: wanted.join.clone(),
            configuration: None,
        })
    }

    /// A load balancer cuts the requests that lead to a server which just went: the next one leads elsewhere.
    pub(crate) async fn read(&mut self, wanted: &Wanted) -> Result<Observed> {
        for _ in 1..TRIES {
            if let Ok(seen) = Box::pin(self.read_once(wanted)).await {
                return Ok(seen);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Box::pin(self.read_once(wanted)).await
    }

    async fn read_once(&mut self, wanted: &Wanted) -> Result<Observed> {
        let mut seen = Observed::default();
        let signed = self.cluster_info(&mut seen.cluster, wanted.token_id.as_deref()).await?;
        seen.cluster.kubernetes_version = self.api.version().await?;
        let configuration = self.api.config_map("kube-system", "kubeadm-config").await?;
        let text =
            configuration.as_ref().and_then(|data| data.get("ClusterConfiguration")?.as_str());
        seen.cluster.api_endpoint =
            text.and_then(|text| scalar(text, "controlPlaneEndpoint")).map(str::to_owned);
        self.configuration = text.map(str::to_owned);
        let node = self.kube.node(&wanted.node).await?;
        seen.node = node.map_or(NodeSeen::Absent, |node| NodeSeen::There {
            whole: node.is_up() && node.is_control_plane(),
        });
        self.secrets(&mut seen, wanted, signed).await?;
        match Box::pin(self.etcd.read(false)).await {
            Ok(reading) => {
                members(&mut seen, &reading, wanted.address.as_deref().unwrap_or_default());
            }
            // What is revoked needs no etcd.
            Err(_) if wanted.join.is_none() => {}
            Err(error) => return Err(error).context("read the etcd members"),
        }
        Ok(seen)
    }

    /// What every joining host is shown first. Returns whether it is signed with the token.
    async fn cluster_info(&self, facts: &mut Facts, id: Option<&str>) -> Result<bool> {
        let info = self.api.config_map("kube-public", "cluster-info").await?;
        let info = info.context("read ConfigMap kube-public/cluster-info: there is none, so no host can join by token; kubeadm makes it (init phase bootstrap-token)")?;
        let kubeconfig = info.get("kubeconfig").and_then(Value::as_str).unwrap_or_default();
        let encoded = kubeconfig.lines().find_map(|line| {
            line.trim().trim_start_matches("- ").strip_prefix("certificate-authority-data:")
        });
        let pem = encoded.and_then(|text| host::certificate::base64(text.trim().trim_matches('"')));
        let pem = pem.context("read ConfigMap kube-public/cluster-info: no certificate-authority-data in its kubeconfig")?;
        facts.ca_certificate = String::from_utf8_lossy(&pem).into_owned();
        facts.ca_cert_hashes = host::certificate::pins(&facts.ca_certificate)?;
        Ok(id.is_some_and(|id| info.get(format!("jws-kubeconfig-{id}")).is_some()))
    }

    async fn secrets(&self, seen: &mut Observed, wanted: &Wanted, signed: bool) -> Result<()> {
        seen.tokens = self.api.tokens_for(&wanted.node).await?;
        if let Some(id) = &wanted.token_id
            && !seen.tokens.contains(id)
            && wanted.join.is_none()
            && self.api.secret_metadata(&format!("bootstrap-token-{id}")).await?.is_some()
        {
            seen.tokens.push(id.clone());
        }
        seen.tokens.sort();
        let uploaded = self.api.secret_metadata(CERTIFICATES).await?;
        seen.uploaded = uploaded.is_some();
        seen.certificates = uploaded.map_or(Certificates::Absent, |metadata| match &wanted.join {
            Some(join) if is_ours(&metadata, join) => Certificates::Ready,
            _ => Certificates::Other,
        });
        if let Some(join) = &wanted.join {
            let token = self.api.token(&join.id).await?;
            seen.token = token.map_or(Token::Absent, |token| judge(&token, join, signed));
        }
        Ok(())
    }

    pub(crate) async fn send(&mut self, step: &Step) -> Result<Applied> {
        match step {
            Step::Upload(_) => self.upload().await?,
            Step::CreateToken { .. } => self.create_token().await?,
            Step::RevokeToken(id) => {
                self.api.delete_secret(&format!("bootstrap-token-{id}")).await?;
            }
            Step::RemoveCertificates => self.remove_certificates().await?,
            Step::AwaitSigned(_) => {}
        }
        Ok(Applied::Sent)
    }

    /// kubeadm encrypts and uploads. The key reaches it on standard input, and it is told not to print it.
    async fn upload(&self) -> Result<()> {
        let join = self.join.as_ref().context("upload certificates: no key was given")?;
        let cluster = self.configuration.as_ref().context("read ConfigMap kube-system/kubeadm-config: it holds no ClusterConfiguration; is this cluster made by kubeadm?")?;
        let init = json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "certificateKey": join.key.expose(),
            // Looked for on the default route otherwise, which a host may not have. It is not used for the upload.
            "localAPIEndpoint": {"advertiseAddress": own_address()?, "bindPort": 6443},
        });
        let args = [
            "init",
            "phase",
            "upload-certs",
            "--upload-certs",
            "--skip-certificate-key-print",
            "--config",
            "/dev/stdin",
        ];
        let kubeadm = Command::new("kubeadm")
            .args(args)
            .arg("--kubeconfig")
            .arg(self.kubeconfig.display().to_string());
        kubeadm
            .stdin(format!("{init}\n---\n{cluster}"))
            .deadline(Duration::from_mins(1))
            .run()
            .await?;
        let marks = json!({KEY_HASH: hash(join), UPLOADED: Timestamp::now().to_string()});
        self.api.annotate_secret(CERTIFICATES, &marks).await
    }

    async fn create_token(&self) -> Result<()> {
        let join = self.join.as_ref().context("create a token: none was given")?;
        let expires = Timestamp::from_second(
            Timestamp::now().as_second().saturating_add(i64::try_from(join.ttl.as_secs())?),
        )?;
        let name = format!("bootstrap-token-{}", join.id);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": name, "namespace": "kube-system", "labels": {FOR_NODE: self.node}},
            "stringData": {
                "token-id": join.id, "token-secret": join.secret.expose(), "expiration": expires.to_string(),
                "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": GROUP,
                "description": format!("Join of control-plane node {} by Quorate", self.node),
            },
        });
        self.api.put_secret(&name, &secret).await
    }

    /// The certificates first; then the token that kubeadm made to limit their life, and that nobody needs without them.
    async fn remove_certificates(&self) -> Result<()> {
        let Some(metadata) = self.api.secret_metadata(CERTIFICATES).await? else { return Ok(()) };
        self.api.delete_secret(CERTIFICATES).await?;
        let owners =
            metadata.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
        for owner in owners
            .filter_map(|owner| owner.get("name")?.as_str())
            .filter(|name| name.starts_with("bootstrap-token-"))
        {
            self.api.delete_secret(owner).await?;
        }
        Ok(())
    }
}

/// # Errors
/// The lock is not this run's own any more, or that cannot be told.
pub async fn assert_held(wanted: &Wanted) -> Result<(), Refusal> {
    let Some(holder) = &wanted.lock_holder else { return Ok(()) };
    let fence = Fence::new(wanted.kubeconfig.clone(), holder);
    let held = kube_cluster::assert_held(&fence).await;
    held.map(drop).map_err(|reason| Refusal::finally(reason.code(), reason.to_string()))
}

fn members(seen: &mut Observed, reading: &Reading, address: &str) {
    let is_own = |member: &&Member| {
        member.peer_urls.iter().any(|url| host_and_port(url).0 == address.to_lowercase())
    };
    let own = reading.members.iter().find(is_own);
    seen.member = match own {
        None => Membership::None,
        Some(member) if member.is_voter() => Membership::Voter,
        Some(member) if member.is_nameless() => Membership::Nameless,
        Some(_) => Membership::Learner,
    };
    seen.member_answers = own
        .is_some_and(|own| reading.status(own.id).is_some_and(|status| status.member_id == own.id));
    seen.foreign_join = reading
        .members
        .iter()
        .find(|member| member.is_joining() && !is_own(member))
        .map(Member::label);
    let peers = reading.members.iter().filter(|member| member.is_voter() && !is_own(member));
    seen.cluster.etcd_endpoints = peers.flat_map(|member| member.client_urls.clone()).collect();
    seen.cluster.cluster_id = reading.cluster_id.to_string();
    let facts = gate::Facts::new(reading, &Evidence::weigh(reading, None));
    let judge = |facts: &gate::Facts| gate::decide(facts, Operation::Add, gate::Permit::default());
    seen.gate = judge(&facts).err().map(|reason| Closed {
        code: reason.code().to_owned(),
        text: reason.to_string(),
        passing: judge(&facts.settled()).is_ok(),
    });
}

/// Whether the certificates are ours, of this key, and fresh.
fn is_ours(metadata: &Value, join: &Join) -> bool {
    let mark = |name: &str| metadata.get("annotations")?.get(name)?.as_str();
    let age = mark(UPLOADED)
        .and_then(|at| at.parse::<Timestamp>().ok())
        .map(|at| Timestamp::now().duration_since(at));
    mark(KEY_HASH) == Some(hash(join).as_str())
        && age.is_some_and(|age| age.as_secs() < FRESH.as_secs().cast_signed())
}

/// Whether a join can use the token for long enough.
fn judge(token: &Value, join: &Join, signed: bool) -> Token {
    let field = |name: &str| {
        let encoded = token.get("data")?.get(name)?.as_str()?;
        String::from_utf8(host::certificate::base64(encoded)?).ok()
    };
    if field("token-secret").as_deref() != Some(join.secret.expose()) {
        return Token::Taken;
    }
    let uses = ["usage-bootstrap-authentication", "usage-bootstrap-signing"]
        .iter()
        .all(|usage| field(usage).as_deref() == Some("true"));
    let in_group = field("auth-extra-groups")
        .is_some_and(|groups| groups.split(',').any(|group| group == GROUP));
    let left = field("expiration")
        .map(|at| at.parse::<Timestamp>().map(|at| at.duration_since(Timestamp::now()).as_secs()));
    let lasts = match left {
        None => true,
        Some(Ok(seconds)) => seconds >= (join.ttl.as_secs() / 2).cast_signed(),
        Some(Err(_)) => false,
    };
    if uses && in_group && lasts { Token::Ready { signed } } else { Token::Stale }
}

fn hash(join: &Join) -> String {
    Sha256::digest(join.key.expose().to_lowercase())
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn own_address() -> Result<String> {
    let addresses = host::identity::addresses()?;
    Ok(addresses.first().map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string))
}

/// The value of a key at the top of a YAML text that kubeadm wrote: scalars stand on the key's line, at most in quotes.
fn scalar<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::scalar;

    #[test]
    fn a_key_is_read_at_the_top_only() {
        let text = "apiVersion: kubeadm.k8s.io/v1beta4\netcd:\n  local:\n    controlPlaneEndpoint: no\ncontrolPlaneEndpoint: \"198.18.0.10:6443\"\n";
        assert_eq!(scalar(text, "controlPlaneEndpoint"), Some("198.18.0.10:6443"));
        assert_eq!(scalar("controlPlaneEndpoint: \"\"\n", "controlPlaneEndpoint"), None);
        assert_eq!(scalar("a: 1\n", "controlPlaneEndpoint"), None);
    }
}

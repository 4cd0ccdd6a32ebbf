//! Options that several modules ask for in the same words, for `#[option(include)]`.
//!
//! They lie here because nothing else lies below every module and knows of Ansible: an API crate has values and calls and no options, and no module
//! depends on another. So they are plain text and numbers, and what they mean is said where a module hands them to the API's crate.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use crate::{BadArgs, Secret};
use std::path::PathBuf;

/// How to reach the Proxmox VE API, with the names and the environment variables of community.proxmox.
#[derive(crate::Options)]
pub struct ApiOptions {
    /// Name or address of a node of the cluster.
    ///
    /// Without it the environment variable E(PROXMOX_HOST) is used.
    pub api_host: Option<String>,
    /// Port of the API.
    ///
    /// Without it the environment variable E(PROXMOX_PORT) is used, and then V(8006).
    pub api_port: Option<u16>,
    /// User the token belongs to.
    ///
    /// Without it the environment variable E(PROXMOX_USER) is used, and then V(root@pam).
    pub api_user: Option<String>,
    /// Name of the API token.
    ///
    /// Without it the environment variable E(PROXMOX_TOKEN_ID) is used.
    pub api_token_id: Option<String>,
    /// Secret of the API token.
    ///
    /// Without it the environment variable E(PROXMOX_TOKEN_SECRET) is used.
    pub api_token_secret: Option<Secret>,
    /// Certificate authority of the API, in PEM form: C(/etc/pve/pve-root-ca.pem) of any node. The system's authorities when it is not given.
    ///
    /// Not looked at with O(validate_certs=false).
    pub ca_path: Option<PathBuf>,
    /// Whether the API's certificate is verified.
    ///
    /// Without it the environment variable E(PROXMOX_VALIDATE_CERTS) is used, and then V(true).
    pub validate_certs: Option<bool>,
}

/// How to reach the Kubernetes API.
#[derive(crate::Options, Debug)]
pub struct KubeOptions {
    /// The kubeconfig to use.
    ///
    /// When it is not given, the first of C(/etc/kubernetes/admin.conf), C(/etc/rancher/k3s/k3s.yaml) and C(/etc/rancher/rke2/rke2.yaml) that exists.
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig. The current one when it is not given.
    pub context: Option<String>,
    /// Another address than the kubeconfig's, as C(https://192.0.2.11:6443).
    #[option(alias = "host")]
    pub server: Option<String>,
}

/// How to reach etcd.
#[derive(crate::Options, Debug)]
#[options(required_together = "client_cert,client_key")]
pub struct EtcdOptions {
    /// Client URLs of members. One is enough to find the others; several are needed where one may be down.
    #[option(alias = "endpoint", default = "https://127.0.0.1:2379")]
    pub endpoints: Vec<String>,
    /// Certificate of etcd's authority. Default: kubeadm's C(/etc/kubernetes/pki/etcd/ca.crt), else that of k3s.
    #[option(alias = "ca_path")]
    pub ca_cert: Option<PathBuf>,
    /// Client certificate. Default: kubeadm's C(healthcheck-client.crt) beside the authority, else that of k3s.
    pub client_cert: Option<PathBuf>,
    /// Key of the client certificate. Default: beside it.
    pub client_key: Option<PathBuf>,
}

/// Where etcd is asked, and authority, certificate and key as far as they were given.
pub type EtcdAccess = (Vec<String>, [Option<PathBuf>; 3]);

impl EtcdOptions {
    /// Takes what was given apart.
    ///
    /// # Errors
    /// When there is no endpoint, or one of them is no URL.
    pub fn checked(self) -> Result<EtcdAccess, BadArgs> {
        if self.endpoints.is_empty() {
            return Err(BadArgs::new("endpoints is empty; it names the client URL of a member"));
        }
        let wrong = |url: &&String| !url.starts_with("https://") && !url.starts_with("http://");
        if let Some(url) = self.endpoints.iter().find(wrong) {
            return Err(BadArgs::new(format!(
                "endpoint {url:?} is no URL such as https://10.0.0.1:2379"
            )));
        }
        Ok((self.endpoints, [self.ca_cert, self.client_cert, self.client_key]))
    }
}

/// The control plane's lock, as a fence for changes of etcd.
#[derive(crate::Options, Debug)]
pub struct LockOptions {
    /// Who holds the control plane's lock. When given, the lock is proven to be held right before each change.
    pub lock_holder: Option<String>,
    /// Kubeconfig for the lock. Default: C(/etc/kubernetes/admin.conf), else C(/etc/rancher/k3s/k3s.yaml).
    pub kubeconfig: Option<PathBuf>,
}

impl LockOptions {
    /// The kubeconfig, and who must hold the lock; none where there is no fence.
    pub fn holder(self) -> Option<(Option<PathBuf>, String)> {
        let holder = self.lock_holder.filter(|holder| !holder.trim().is_empty());
        holder.map(|holder| (self.kubeconfig, holder))
    }
}

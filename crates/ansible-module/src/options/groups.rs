//! Options that several modules ask for in the same words, for `#[option(include)]`.
//!
//! They lie here because nothing else lies below every module and knows of Ansible: an API crate has values and calls and no options, and no module
//! depends on another. So they are plain text and numbers, and what they mean is said where a module hands them to the API's crate.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use crate::Secret;
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

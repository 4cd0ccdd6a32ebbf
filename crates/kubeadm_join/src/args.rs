//! The options, and what they mean.
#![expect(clippy::doc_markdown, reason = "shown to users in Ansible's markup")]

use crate::state::Membership;
use ansible_module::{BadArgs, Json, Options, Seconds, Secret};
use etcd_cluster::MemberId;
use serde_json::{Map, json};
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// Joins this host to a kubeadm cluster as a control-plane node.
///
/// Runs on the host that joins. Token and certificate key are made by the controller, put into the cluster by
/// M(quorate.controlplane.kubeadm_join_material) on a healthy peer, and revoked by it afterwards: secrets only flow in.
///
/// Writes the join configuration to a file that only root can read, in memory and never in an argument list, runs C(kubeadm join) as a transient
/// systemd unit that a later run finds again, and waits until the host is a voter, its Node is Ready with a fresh lease, and its own apiserver is ready.
///
/// A join that did not finish is cleared and done again: the kubelet stopped, the manifests moved away, and the data of etcd wiped only when no
/// member of this host is listed any more. A host that belongs to another cluster is refused.
#[derive(Options, Debug)]
pub struct Args {
    /// Bootstrap token, as C(abcdef.0123456789abcdef).
    pub token: Secret,
    /// Key of the uploaded certificates: 64 hexadecimal digits.
    pub certificate_key: Secret,
    /// The control plane's stable endpoint, host and port: the load balancer. RV(quorate.controlplane.kubeadm_join_material#module:api_endpoint).
    #[option(alias = "control_plane_endpoint")]
    pub api_endpoint: String,
    /// Pins of the cluster's CA, as C(sha256:<hex>). At least one.
    #[option(alias = "ca_cert_hash")]
    pub ca_cert_hashes: Vec<String>,
    /// The cluster's CA certificate as PEM. With it, Node and version are read before anything is changed, not only by kubeadm half-way.
    pub ca_certificate: Option<String>,
    /// Id of the peers' etcd cluster, hexadecimal. An etcd on this host that belongs to another one is refused.
    pub cluster_id: String,
    /// Client URLs of the peers' etcd members, to look for this host's member. At least one.
    #[option(alias = "endpoints")]
    pub etcd_endpoints: Vec<String>,
    /// What the peers list at this host's peer URL, as M(quorate.controlplane.kubeadm_join_material) returns it. Used where this host has no certificates to ask them.
    pub listed_member: Option<Listed>,
    /// Version of the peers, as C(v1.36.3). kubeadm and kubelet of this host must have it.
    pub kubernetes_version: Option<String>,
    /// Name of the Node. Default: the name of this host in lower case.
    #[option(alias = "name")]
    pub node_name: Option<String>,
    /// Address that this host's apiserver and etcd member listen on. Default: the one this host reaches O(api_endpoint) from.
    pub advertise_address: Option<String>,
    /// Port of this host's apiserver.
    #[option(default = "6443")]
    pub bind_port: u16,
    /// How the Node registers.
    pub node_registration: Option<Registration>,
    /// Directory on this host with patches for kubeadm.
    #[option(alias = "patches_dir")]
    pub patches: Option<PathBuf>,
    /// Checks of kubeadm whose errors are ignored, as C(Swap).
    pub ignore_preflight_errors: Vec<String>,
    /// Phases of C(kubeadm join) that are left out.
    pub skip_phases: Vec<String>,
    /// Further members of kubeadm's JoinConfiguration (v1beta4), merged over what this module writes.
    pub kubeadm_extra: Map<String, Json>,
    /// Data directory of etcd, as the cluster's configuration has it.
    #[option(default = "/var/lib/etcd")]
    pub etcd_data_dir: PathBuf,
    /// Who this run is in the control plane's lock. Given, the lock is proven to be this run's own before each change, as soon as this host can read it.
    pub lock_holder: Option<String>,
    /// How long the whole may take.
    #[option(default = "15m")]
    pub timeout: Seconds,
}

/// How the Node registers.
#[derive(Options, Debug, Clone, Default)]
pub struct Registration {
    /// Socket of the container runtime, as C(unix:///run/containerd/containerd.sock).
    pub cri_socket: Option<String>,
    /// Further flags of the kubelet: names without dashes, each with a value or a list of values.
    pub kubelet_extra_args: Map<String, Json>,
    /// Taints of the Node: dicts of C(key), C(value) and C(effect). Default: kubeadm's own. An empty list means none.
    pub taints: Option<Vec<Map<String, Json>>>,
    /// When images are pulled: C(Always), C(IfNotPresent) or C(Never).
    pub image_pull_policy: Option<String>,
}

/// What the peers list at this host's peer URL.
#[derive(Options, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// No member.
    None,
    /// A learner that never started.
    Nameless,
    /// A member without a vote.
    Learner,
    /// A member with a vote.
    Voter,
}

impl From<Listed> for Membership {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::None => Self::None,
            Listed::Nameless => Self::Nameless,
            Listed::Learner => Self::Learner,
            Listed::Voter => Self::Voter,
        }
    }
}

/// The options after validation.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// See [`Args`].
    pub token: Secret,
    /// See [`Args`].
    pub certificate_key: Secret,
    /// Host and port.
    pub endpoint: String,
    /// See [`Args`].
    pub ca_cert_hashes: Vec<String>,
    /// See [`Args`].
    pub ca_certificate: Option<String>,
    /// See [`Args`].
    pub cluster_id: MemberId,
    /// See [`Args`].
    pub etcd_endpoints: Vec<String>,
    /// See [`Args`].
    pub listed: Option<Membership>,
    /// With its `v`.
    pub version: Option<String>,
    /// See [`Args`].
    pub node_name: Option<String>,
    /// See [`Args`].
    pub address: Option<IpAddr>,
    /// See [`Args`].
    pub bind_port: u16,
    /// See [`Args`].
    pub registration: Registration,
    /// See [`Args`].
    pub patches: Option<PathBuf>,
    /// See [`Args`].
    pub ignore_preflight_errors: Vec<String>,
    /// See [`Args`].
    pub skip_phases: Vec<String>,
    /// See [`Args`].
    pub extra: Map<String, Json>,
    /// See [`Args`].
    pub etcd_data_dir: PathBuf,
    /// See [`Args`].
    pub lock_holder: Option<String>,
    /// See [`Args`].
    pub timeout: Duration,
}

impl Wanted {
    /// Validates.
    pub fn new(args: Args) -> Result<Self, BadArgs> {
        check_secrets(&args)?;
        check_pins(&args)?;
        let bad = |text: &str| Err(BadArgs::new(text));
        let endpoint =
            args.api_endpoint.trim_start_matches("https://").trim_end_matches('/').to_owned();
        if endpoint
            .rsplit_once(':')
            .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            return bad(&format!("api_endpoint: expected host:port, got {:?}", args.api_endpoint));
        }
        let cluster_id = u64::from_str_radix(args.cluster_id.trim().trim_start_matches("0x"), 16);
        let Ok(cluster_id) = cluster_id else {
            return bad("cluster_id: expected up to 16 hexadecimal digits; quote it in YAML");
        };
        if args.etcd_endpoints.is_empty() {
            return bad(
                "etcd_endpoints: expected the client URL of at least one peer's etcd member",
            );
        }
        let address =
            args.advertise_address.map(|given| given.parse().map_err(|_| given)).transpose();
        let address = address.map_err(|given| {
            BadArgs::new(format!("advertise_address: {given:?} is no IP address"))
        })?;
        let version = args
            .kubernetes_version
            .map(|version| format!("v{}", version.trim().trim_start_matches('v')));
        Ok(Self {
            token: args.token,
            certificate_key: args.certificate_key,
            endpoint,
            ca_cert_hashes: args.ca_cert_hashes,
            ca_certificate: args.ca_certificate,
            cluster_id: MemberId(cluster_id),
            etcd_endpoints: args.etcd_endpoints,
            listed: args.listed_member.map(Membership::from),
            version,
            node_name: args.node_name,
            address,
            bind_port: args.bind_port,
            registration: args.node_registration.unwrap_or_default(),
            patches: args.patches,
            ignore_preflight_errors: args.ignore_preflight_errors,
            skip_phases: args.skip_phases,
            extra: args.kubeadm_extra,
            etcd_data_dir: args.etcd_data_dir,
            lock_holder: args.lock_holder,
            timeout: args.timeout.0,
        })
    }

    /// kubeadm's JoinConfiguration, as JSON, which is YAML. Holds secrets.
    ///
    /// `kubeadm.k8s.io/v1beta4`, cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go.
    pub fn configuration(&self, node: &str, address: &str) -> String {
        let mut config = json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "JoinConfiguration",
            "discovery": {"bootstrapToken": {
                "token": self.token.expose(),
                "apiServerEndpoint": self.endpoint,
                "caCertHashes": self.ca_cert_hashes,
            }},
            "controlPlane": {
                "localAPIEndpoint": {"advertiseAddress": address, "bindPort": self.bind_port},
                "certificateKey": self.certificate_key.expose(),
            },
            "nodeRegistration": self.registration(node),
            // The material's module has seen the token signed: five minutes of kubeadm's own patience would only hide a wrong one.
            "timeouts": {"discovery": "1m0s"},
        });
        if !self.skip_phases.is_empty() {
            merge(&mut config, &json!({"skipPhases": self.skip_phases}));
        }
        if let Some(patches) = &self.patches {
            merge(&mut config, &json!({"patches": {"directory": patches}}));
        }
        merge(&mut config, &Json::Object(self.extra.clone()));
        config.to_string()
    }

    fn registration(&self, node: &str) -> Json {
        let given = &self.registration;
        let mut all = json!({"name": node, "ignorePreflightErrors": self.ignore_preflight_errors});
        let flags = given.kubelet_extra_args.iter().flat_map(|(name, value)| {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            values.into_iter().map(move |value| json!({"name": name, "value": plain(&value)}))
        });
        let flags: Vec<_> = flags.collect();
        if !flags.is_empty() {
            merge(&mut all, &json!({"kubeletExtraArgs": flags}));
        }
        if let Some(socket) = &given.cri_socket {
            merge(&mut all, &json!({"criSocket": socket}));
        }
        if let Some(taints) = &given.taints {
            merge(&mut all, &json!({"taints": taints}));
        }
        if let Some(policy) = &given.image_pull_policy {
            merge(&mut all, &json!({"imagePullPolicy": policy}));
        }
        all
    }
}

fn check_secrets(args: &Args) -> Result<(), BadArgs> {
    // What was given is not repeated: a mistyped secret is nearly one.
    if !is_token(args.token.expose()) {
        return Err(BadArgs::new(
            "token: expected the form abcdef.0123456789abcdef, lower-case letters and digits",
        ));
    }
    if !is_hex(args.certificate_key.expose(), 64) {
        return Err(BadArgs::new("certificate_key: expected 64 hexadecimal digits (32 bytes)"));
    }
    Ok(())
}

fn check_pins(args: &Args) -> Result<(), BadArgs> {
    if args.ca_cert_hashes.is_empty() {
        return Err(BadArgs::new(
            "ca_cert_hashes: expected at least one: without a pin anybody on the way could pose as the cluster",
        ));
    }
    let wrong = args.ca_cert_hashes.iter().find(|hash| !is_pin(hash));
    wrong.map_or(Ok(()), |hash| {
        Err(BadArgs::new(format!(
            "ca_cert_hashes: expected sha256: and 64 hexadecimal digits, got {hash:?}"
        )))
    })
}

/// A flag's value as the kubelet reads it: a boolean of YAML is a word to it.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn is_token(text: &str) -> bool {
    let part = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(id, secret)| part(id, 6) && part(secret, 16))
}

fn is_pin(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}

//! The options, and what they mean.
#![expect(clippy::doc_markdown, reason = "shown to users in Ansible's markup")]

use ansible_module::{BadArgs, Options, Seconds, Secret};
use std::{path::PathBuf, time::Duration};

/// Makes and revokes what a kubeadm control-plane join needs.
///
/// Runs on a healthy control-plane host, a peer of the one that joins. Token and certificate key are made by the controller: secrets only flow
/// in, never into a reply or an argument list.
///
/// With O(state=present) creates a short-lived bootstrap token and uploads the cluster's certificates, encrypted with the key, then
/// returns what M(quorate.controlplane.kubeadm_join) must be told. Refused while another host is joining, while etcd must not get one more member, and
/// while a Node of that name exists that is not the unfinished join's own. Does nothing for a host that has joined.
///
/// With O(state=absent) revokes every token made for the node and the uploaded certificates.
#[derive(Options, Debug)]
#[options(required_if = "state=present:address,token,certificate_key")]
pub struct Args {
    /// What to reach.
    #[option(default = "present")]
    pub state: State,
    /// Name of the Node that joins.
    #[option(alias = "name")]
    pub node: String,
    /// Address of the host that joins: that of its etcd peer URL.
    pub address: Option<String>,
    /// Bootstrap token, as C(abcdef.0123456789abcdef).
    pub token: Option<Secret>,
    /// Key to encrypt the certificates with: 64 hexadecimal digits.
    pub certificate_key: Option<Secret>,
    /// How long the token is valid.
    #[option(default = "30m")]
    pub token_ttl: Seconds,
    /// Client URLs of etcd members, one of them on this host.
    #[option(default = "https://127.0.0.1:2379")]
    pub endpoints: Vec<String>,
    /// Authority of the members' certificates. Default: as kubeadm lays it down.
    pub ca_cert: Option<PathBuf>,
    /// Client certificate for etcd. Default: as kubeadm lays it down.
    pub client_cert: Option<PathBuf>,
    /// Its key. Default: as kubeadm lays it down.
    pub client_key: Option<PathBuf>,
    /// Kubeconfig of an administrator; its current context counts, for kubeadm takes no other. Default: kubeadm's.
    pub kubeconfig: Option<PathBuf>,
    /// Who this run is in the control plane's lock. Given, the lock is proven to be this run's own before each change.
    pub lock_holder: Option<String>,
    /// How long the whole may take.
    #[option(default = "2m")]
    pub timeout: Seconds,
}

/// What to reach.
#[derive(Options, Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Token and certificates lie in the cluster.
    Present,
    /// Neither does.
    Absent,
}

/// The options after validation.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What a join needs; none when everything is to be revoked.
    pub join: Option<Join>,
    /// See [`Args`].
    pub node: String,
    /// Id of the token given, also for revoking.
    pub token_id: Option<String>,
    /// See [`Args`].
    pub endpoints: Vec<String>,
    /// CA, certificate and key as given.
    pub files: [Option<PathBuf>; 3],
    /// See [`Args`].
    pub kubeconfig: Option<PathBuf>,
    /// See [`Args`].
    pub address: Option<String>,
    /// See [`Args`].
    pub lock_holder: Option<String>,
    /// See [`Args`].
    pub timeout: Duration,
}

/// What is put into the cluster for a join.
#[derive(Debug, Clone)]
pub struct Join {
    /// The public half of the token.
    pub id: String,
    /// The secret half.
    pub secret: Secret,
    /// See [`Args`].
    pub key: Secret,
    /// See [`Args`].
    pub ttl: Duration,
}

impl Wanted {
    /// Validates.
    pub fn new(args: Args) -> Result<Self, BadArgs> {
        // What was given is not repeated: a mistyped secret is nearly one.
        let bad = || {
            BadArgs::new(
                "token: expected the form abcdef.0123456789abcdef, lower-case letters and digits",
            )
        };
        let halves =
            args.token.as_ref().map(|token| halves(token.expose()).ok_or_else(bad)).transpose()?;
        if args.certificate_key.as_ref().is_some_and(|key| !is_hex(key.expose())) {
            return Err(BadArgs::new("certificate_key: expected 64 hexadecimal digits (32 bytes)"));
        }
        if args.node.is_empty()
            || args
                .node
                .chars()
                .any(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-' && c != '.')
        {
            return Err(BadArgs::new(format!(
                "node: {:?} is no name of a Node: lower-case letters, digits, - and .",
                args.node
            )));
        }
        let token_id = halves.as_ref().map(|(id, _)| id.clone());
        let join = match (args.state, halves, args.certificate_key) {
            (State::Present, Some((id, secret)), Some(key)) => {
                Some(Join { id, secret: Secret::new(secret), key, ttl: args.token_ttl.0 })
            }
            _ => None,
        };
        let (node, address, endpoints) = (args.node, args.address, args.endpoints);
        Ok(Self {
            join,
            node,
            token_id,
            endpoints,
            files: [args.ca_cert, args.client_cert, args.client_key],
            kubeconfig: args.kubeconfig,
            address,
            lock_holder: args.lock_holder,
            timeout: args.timeout.0,
        })
    }
}

fn halves(token: &str) -> Option<(String, String)> {
    let part = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let (id, secret) = token.split_once('.')?;
    (part(id, 6) && part(secret, 16)).then(|| (id.to_owned(), secret.to_owned()))
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

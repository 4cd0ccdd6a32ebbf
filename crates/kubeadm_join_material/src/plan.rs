//! What is to be done, or why nothing may be.

use crate::{
    args::{Join, Wanted},
    state::{Certificates, Membership, NodeSeen, Observed, Token},
};
use ansible_module::Refusal;
use std::fmt;

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Uploads the certificates, encrypted.
    Upload(String),
    /// Creates the bootstrap token, or renews it.
    CreateToken {
        /// Whose join.
        node: String,
        /// Its public half.
        id: String,
        /// How long it is valid.
        minutes: u64,
    },
    /// Waits until the controller manager has signed the cluster-info with it.
    AwaitSigned(String),
    /// Revokes one token.
    RevokeToken(String),
    /// Removes the uploaded certificates.
    RemoveCertificates,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload(node) => {
                write!(f, "upload the certificates for the join of {node}, encrypted")
            }
            Self::CreateToken { node, id, minutes } => write!(
                f,
                "create bootstrap token {id} for the join of {node}, valid for {minutes} min"
            ),
            Self::AwaitSigned(id) => write!(f, "wait until cluster-info is signed with token {id}"),
            Self::RevokeToken(id) => write!(f, "revoke bootstrap token {id}"),
            Self::RemoveCertificates => {
                f.write_str("remove the uploaded certificates (Secret kube-system/kubeadm-certs)")
            }
        }
    }
}

/// Why nothing may be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe<'a> {
    /// The cluster has no stable endpoint.
    NoEndpoint,
    /// Another host is joining.
    ForeignJoin { member: &'a str },
    /// A Node of the name exists, and no member of its.
    NodeExists { node: &'a str },
    /// The old member is still listed.
    MemberListed { address: &'a str },
    /// The id of the token is another's.
    TokenTaken { id: &'a str },
    /// etcd must not get one more member.
    Gate { closed: &'a crate::state::Closed },
}

impl From<Unsafe<'_>> for Refusal {
    fn from(reason: Unsafe<'_>) -> Self {
        match reason {
            Unsafe::NoEndpoint => Self::finally(
                "no_endpoint",
                "the cluster has no controlPlaneEndpoint, without which no second control plane can join; set one in the ConfigMap kube-system/kubeadm-config first",
            ),
            Unsafe::ForeignJoin { member } => Self::passing(
                "foreign_join",
                format!(
                    "{member} is joining; one at a time: wait for it, or remove it first (etcd_member, state absent)"
                ),
            ),
            Unsafe::NodeExists { node } => Self::unmet(
                "node_exists",
                format!(
                    "a Node {node:?} exists and no etcd member of its; delete it first (k8s_node, state absent)"
                ),
            ),
            Unsafe::MemberListed { address } => Self::unmet(
                "member_listed",
                format!(
                    "a voter at {address} is listed and does not answer; remove it through the gate first (etcd_member, state absent, peer {address})"
                ),
            ),
            Unsafe::TokenTaken { id } => Self::finally(
                "token_taken",
                format!(
                    "a bootstrap token with id {id} exists that is not ours; make another token and run again"
                ),
            ),
            Unsafe::Gate { closed } if closed.passing => {
                Self::passing(closed.code.clone(), closed.text.clone())
            }
            Unsafe::Gate { closed } => Self::finally(closed.code.clone(), closed.text.clone()),
        }
    }
}

/// Decides.
pub fn plan(wanted: &Wanted, seen: &Observed) -> Result<Vec<Step>, Refusal> {
    let Some(join) = &wanted.join else { return Ok(revoking(seen)) };
    if has_joined(seen) {
        return Ok(vec![]);
    }
    may_join(wanted, seen)?;
    making(wanted, join, seen)
}

/// A voter that answers, on a Node that is whole: a join is not wanted, and neither are secrets for it.
fn has_joined(seen: &Observed) -> bool {
    seen.member == Membership::Voter
        && seen.member_answers
        && seen.node == NodeSeen::There { whole: true }
}

fn may_join(wanted: &Wanted, seen: &Observed) -> Result<(), Refusal> {
    if seen.cluster.api_endpoint.is_none() {
        return Err(Unsafe::NoEndpoint.into());
    }
    if let Some(member) = &seen.foreign_join {
        return Err(Unsafe::ForeignJoin { member }.into());
    }
    if seen.member == Membership::Voter && !seen.member_answers {
        return Err(Unsafe::MemberListed {
            address: wanted.address.as_deref().unwrap_or_default(),
        }
        .into());
    }
    if seen.member == Membership::None {
        // With a member of its listed, the Node is the unfinished join's own.
        if seen.node != NodeSeen::Absent {
            return Err(Unsafe::NodeExists { node: &wanted.node }.into());
        }
        if let Some(closed) = &seen.gate {
            return Err(Unsafe::Gate { closed }.into());
        }
    }
    Ok(())
}

fn making(wanted: &Wanted, join: &Join, seen: &Observed) -> Result<Vec<Step>, Refusal> {
    let mut steps = vec![];
    let (node, id) = (wanted.node.clone(), join.id.clone());
    steps.extend((seen.certificates != Certificates::Ready).then(|| Step::Upload(node.clone())));
    match seen.token {
        Token::Taken => return Err(Unsafe::TokenTaken { id: &join.id }.into()),
        Token::Absent | Token::Stale => {
            let minutes = join.ttl.as_secs().div_ceil(60);
            steps.extend([
                Step::CreateToken { node, id: id.clone(), minutes },
                Step::AwaitSigned(id),
            ]);
        }
        Token::Ready { signed: false } => steps.push(Step::AwaitSigned(id)),
        Token::Ready { signed: true } => {}
    }
    Ok(steps)
}

fn revoking(seen: &Observed) -> Vec<Step> {
    let mut steps: Vec<_> = seen.tokens.iter().cloned().map(Step::RevokeToken).collect();
    steps.extend(seen.uploaded.then_some(Step::RemoveCertificates));
    steps
}

/// The state expected after a step.
pub fn project(seen: &Observed, step: &Step) -> Observed {
    let mut next = seen.clone();
    match step {
        Step::Upload(_) => (next.certificates, next.uploaded) = (Certificates::Ready, true),
        Step::CreateToken { id, .. } => {
            next.token = Token::Ready { signed: false };
            if !next.tokens.contains(id) {
                next.tokens.push(id.clone());
                next.tokens.sort();
            }
        }
        Step::AwaitSigned(_) => next.token = Token::Ready { signed: true },
        Step::RevokeToken(id) => {
            next.tokens.retain(|known| known != id);
            if next.tokens.is_empty() {
                next.token = Token::Absent;
            }
        }
        Step::RemoveCertificates => {
            (next.certificates, next.uploaded) = (Certificates::Absent, false);
        }
    }
    next
}

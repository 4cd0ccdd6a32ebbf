//! Every reason to say no.

use std::time::Duration;

use ansible_module::Refusal;
use haproxy_api::{Level, Name};

use crate::state::{Balancer, Place};

/// Names the bad state.
#[derive(Clone, PartialEq, Debug)]
pub enum Unsafe {
    /// A load balancer does not answer: it may send connections to the server all the same.
    Unreachable { socket: String, why: String },
    /// The socket may look and not touch.
    NotAdmin { socket: String, level: Level },
    /// A backend that was named does not exist.
    NoBackend { socket: String, backend: Name, known: Vec<String> },
    /// The server does not exist where it was looked for.
    NoServer { socket: String, backend: Option<Name>, server: Name, known: Vec<String> },
    /// Too few others would serve.
    LastUp { place: Place, up: usize, needed: u32, others: Vec<String>, passing: bool },
    /// Nothing can tell whether the server works.
    NoCheck { place: Place },
    /// The checks did not pass in time.
    NotUp { place: Place, verdict: String, after: Duration, held: bool },
    /// HAProxy has no address for the server.
    Unresolved { place: Place },
    /// It follows a server that does not serve.
    Follows { place: Place, leader: String },
}

impl Unsafe {
    /// Names the backends there are.
    pub fn no_backend(socket: String, backend: &Name, balancer: &Balancer) -> Self {
        Self::NoBackend {
            socket,
            backend: backend.clone(),
            known: names(balancer.servers.iter().map(|server| &server.backend)),
        }
    }

    /// Names the servers there are.
    pub fn no_server(
        socket: String,
        backend: Option<&Name>,
        server: &Name,
        balancer: &Balancer,
    ) -> Self {
        let here = balancer
            .servers
            .iter()
            .filter(|other| backend.is_none_or(|backend| other.backend == *backend));
        Self::NoServer {
            socket,
            backend: backend.cloned(),
            server: server.clone(),
            known: names(here.map(|other| &other.server)),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::NotAdmin { .. } => "not_admin",
            Self::NoBackend { .. } => "no_backend",
            Self::NoServer { .. } => "no_server",
            Self::LastUp { .. } => "last_up",
            Self::NoCheck { .. } => "no_check",
            Self::NotUp { .. } => "not_up",
            Self::Unresolved { .. } => "unresolved",
            Self::Follows { .. } => "follows",
        }
    }

    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Unresolved { .. } | Self::LastUp { passing: true, .. }
        )
    }

    fn text(&self) -> String {
        match self {
            Self::Unreachable { socket, why } => {
                format!(
                    "{why}; every load balancer must be told, because this one may go on sending connections: bring it back, or take {socket} off sockets if it is gone for good"
                )
            }
            Self::NotAdmin { socket, level } => {
                format!(
                    "the socket {socket} has level {level}, and admin is needed; write `level admin` on its `stats socket` line and reload HAProxy"
                )
            }
            Self::NoBackend { socket, backend, known } => {
                format!(
                    "no backend \"{backend}\" with servers on {socket}; it has {}",
                    listed(known)
                )
            }
            Self::NoServer { socket, backend, server, known } => {
                let place = backend
                    .as_ref()
                    .map_or("any backend".to_owned(), |backend| format!("backend \"{backend}\""));
                format!("no server \"{server}\" in {place} on {socket}; there is {}", listed(known))
            }
            Self::LastUp { place, up, needed, others, .. } => last_up(place, *up, *needed, others),
            Self::NoCheck { place } => {
                format!(
                    "{place} has no health check, so nothing would tell whether it works; write `check` on its server line and reload HAProxy"
                )
            }
            Self::NotUp { place, verdict, after, held } => {
                let left = if *held {
                    "it stays drained"
                } else {
                    "it gets connections as soon as its check passes"
                };
                format!(
                    "{place} was not found UP within {} s: it {verdict}; {left}; repair it and run again, or raise ready_timeout",
                    after.as_secs()
                )
            }
            Self::Unresolved { place } => {
                format!(
                    "{place} is in maintenance because its name does not resolve; mend the name service, or give the server an address"
                )
            }
            Self::Follows { place, leader } => {
                format!(
                    "{place} follows the checks of {leader}, which does not serve; bring that one to `ready` first"
                )
            }
        }
    }
}

fn last_up(place: &Place, up: usize, needed: u32, others: &[String]) -> String {
    let Place { socket, backend, server } = place;
    let (all, others) = (
        others.len(),
        if others.is_empty() { "there is no other".to_owned() } else { others.join(", ") },
    );
    format!(
        "cannot take {server} out of backend \"{backend}\" on {socket}: {up} of {all} other servers would be UP, at least {needed} must be ({others}); bring another up first, or lower min_up"
    )
}

fn names<'a>(all: impl Iterator<Item = &'a Name>) -> Vec<String> {
    let mut names: Vec<_> = all.map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    names
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl From<Unsafe> for Refusal {
    fn from(reason: Unsafe) -> Self {
        let make = if reason.may_pass() { Refusal::passing } else { Refusal::finally };
        make(reason.code(), reason.text())
    }
}

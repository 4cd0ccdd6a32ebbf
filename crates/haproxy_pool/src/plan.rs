//! The decision.

use ansible_module::{Kind, Limit, Refusal};
use haproxy_api::Level;
use std::time::Duration;

use crate::args::{State, Wanted};
use crate::refuse::Unsafe;
use crate::state::{Admin, Balancer, Checks, Observed, Place, Server, Step};

type Target<'a> = (&'a Balancer, &'a Server);

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let targets = targets(wanted, observed)?;
    let steps = match wanted.state {
        State::Drained => drained(wanted, &targets),
        State::Maintenance => maintenance(wanted, &targets),
        State::Ready => ready(wanted, &targets)?,
    };
    for (balancer, server) in targets {
        let place = place(balancer, server);
        let here: Vec<_> = steps.iter().filter(|step| step.place() == Some(&place)).collect();
        if here.iter().any(|step| kind(step) == Kind::Change) {
            if balancer.level < Level::Admin {
                return Err(Unsafe::NotAdmin {
                    socket: balancer.socket.clone(),
                    level: balancer.level,
                }
                .into());
            }
            if wanted.state != State::Ready {
                spare(wanted.min_up, balancer, server)?;
            }
        }
    }
    Ok(steps)
}

/// What kind of thing a step does.
pub fn kind(step: &Step) -> Kind {
    match step {
        Step::AwaitSessions(_) | Step::AwaitUp(_) => Kind::Wait,
        _ => Kind::Change,
    }
}

/// How long a step may take.
pub fn limit(wanted: &Wanted, step: &Step) -> Limit {
    match step {
        Step::AwaitSessions(_) => Limit::go_on(wanted.drain_timeout),
        // The plan refuses at `ready_timeout`, and says what the checks found; this is for a load balancer that is gone by then.
        Step::AwaitUp(_) => Limit::fail(wanted.ready_timeout + Duration::from_secs(15)),
        // HAProxy does these at once.
        _ => Limit::fail(Duration::from_secs(15)),
    }
}

impl Step {
    /// The place it is about; none for all.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::AwaitSessions(_) => None,
            Self::Drain(place)
            | Self::Maint(place)
            | Self::ShutdownSessions(place)
            | Self::EnableHealth(place)
            | Self::Probe(place)
            | Self::AwaitUp(place)
            | Self::Ready(place) => Some(place),
        }
    }
}

fn place(balancer: &Balancer, server: &Server) -> Place {
    Place {
        socket: balancer.socket.clone(),
        backend: server.backend.clone(),
        server: server.server.clone(),
    }
}

/// Every place the server has to be brought to the state in; each load balancer has at least one, and every backend that was named.
fn targets<'a>(wanted: &Wanted, observed: &'a Observed) -> Result<Vec<Target<'a>>, Refusal> {
    let mut targets = Vec::new();
    for balancer in &observed.balancers {
        let socket = || balancer.socket.clone();
        if let Some(why) = &balancer.unreachable {
            return Err(Unsafe::Unreachable { socket: socket(), why: why.clone() }.into());
        }
        let mine: Vec<Target> = balancer
            .servers
            .iter()
            .filter(|server| server.target)
            .map(|server| (balancer, server))
            .collect();
        for backend in &wanted.backends {
            if !balancer.servers.iter().any(|server| server.backend == *backend) {
                return Err(Unsafe::no_backend(socket(), backend, balancer).into());
            }
            if !mine.iter().any(|(_, server)| server.backend == *backend) {
                return Err(
                    Unsafe::no_server(socket(), Some(backend), &wanted.server, balancer).into()
                );
            }
        }
        if mine.is_empty() {
            return Err(Unsafe::no_server(socket(), None, &wanted.server, balancer).into());
        }
        targets.extend(mine);
    }
    Ok(targets)
}

fn drained(wanted: &Wanted, targets: &[Target]) -> Vec<Step> {
    let open =
        |server: &Server| server.admin != Admin::Drained && server.admin != Admin::Maintenance;
    let mut steps: Vec<_> = targets
        .iter()
        .filter(|(_, server)| open(server))
        .map(|(lb, server)| Step::Drain(place(lb, server)))
        .collect();
    // The worst case: sessions, where there is none yet or where it is still open for them.
    let busy =
        |server: &Server| open(server) || (server.admin == Admin::Drained && server.sessions > 0);
    if targets.iter().any(|(_, server)| busy(server)) {
        steps.push(Step::AwaitSessions(wanted.server.clone()));
    }
    if wanted.shutdown_sessions {
        steps.extend(
            targets
                .iter()
                .filter(|(_, server)| busy(server))
                .map(|(lb, server)| Step::ShutdownSessions(place(lb, server))),
        );
    }
    steps
}

/// Maintenance before the sessions are shut down: none can begin in between, whatever binds a client to the server.
fn maintenance(wanted: &Wanted, targets: &[Target]) -> Vec<Step> {
    let open =
        |server: &Server| server.admin != Admin::Drained && server.admin != Admin::Maintenance;
    let mut steps: Vec<_> = targets
        .iter()
        .filter(|(_, server)| open(server))
        .map(|(lb, server)| Step::Drain(place(lb, server)))
        .collect();
    if targets
        .iter()
        .any(|(_, server)| open(server) || (server.admin == Admin::Drained && server.sessions > 0))
    {
        steps.push(Step::AwaitSessions(wanted.server.clone()));
    }
    for (balancer, server) in targets {
        let out = server.admin == Admin::Maintenance;
        steps.extend((!out).then(|| Step::Maint(place(balancer, server))));
        let left = wanted.shutdown_sessions && (!out || server.sessions > 0);
        steps.extend(left.then(|| Step::ShutdownSessions(place(balancer, server))));
    }
    steps
}

/// All are put to the test at once, and each is given connections as soon as it has passed.
fn ready(wanted: &Wanted, targets: &[Target]) -> Result<Vec<Step>, Refusal> {
    let (mut tests, mut returns, mut followers) = (vec![], vec![], vec![]);
    for (balancer, server) in targets {
        let place = place(balancer, server);
        if server.tracks.is_some() {
            followers.extend(follower(targets, balancer, server)?);
            continue;
        }
        testable(wanted, &place, server)?;
        let held = server.admin != Admin::Ready;
        let test = match (held, server.checks) {
            // It gets connections as it is: to take it out for a test might take out the last one.
            (false, Checks::Off) => Some(Step::EnableHealth(place.clone())),
            // HAProxy takes a server to be UP that leaves maintenance, and an old verdict of a drained one may be of another machine.
            (true, _) if !server.probed => Some(Step::Probe(place.clone())),
            _ => None,
        };
        if test.is_some() || !server.is_proven() {
            returns.push(Step::AwaitUp(place.clone()));
        }
        returns.extend(held.then_some(Step::Ready(place)));
        tests.extend(test);
    }
    Ok([tests, returns, followers].concat())
}

/// Whether checks can decide, and have had the time.
fn testable(wanted: &Wanted, place: &Place, server: &Server) -> Result<(), Unsafe> {
    if server.admin == Admin::Unresolved {
        return Err(Unsafe::Unresolved { place: place.clone() });
    }
    if server.checks == Checks::None {
        return Err(Unsafe::NoCheck { place: place.clone() });
    }
    let waiting = server.probed || (server.admin == Admin::Ready && server.checks == Checks::On);
    if waiting && !server.is_proven() && Duration::from_secs(server.waited) >= wanted.ready_timeout
    {
        let held = server.admin != Admin::Ready;
        return Err(Unsafe::NotUp {
            place: place.clone(),
            verdict: server.verdict(),
            after: wanted.ready_timeout,
            held,
        });
    }
    Ok(())
}

/// A server that tracks another has no check of its own: it may come back when the one it follows serves.
fn follower(
    targets: &[Target],
    balancer: &Balancer,
    server: &Server,
) -> Result<Option<Step>, Unsafe> {
    let leader = balancer.servers.iter().find(|other| Some(other.path()) == server.tracks);
    // It is brought back by this very run, before its followers.
    let coming = leader.is_some_and(|leader| {
        targets
            .iter()
            .any(|(lb, other)| lb.socket == balancer.socket && other.path() == leader.path())
    });
    if !coming && !leader.is_some_and(Server::serves) {
        let leader = server.tracks.clone().unwrap_or_default();
        return Err(Unsafe::Follows { place: place(balancer, server), leader });
    }
    let held = matches!(server.admin, Admin::Drained | Admin::Maintenance);
    Ok(held.then(|| Step::Ready(place(balancer, server))))
}

/// Whether enough others serve, in the server's backend and in those where others follow it.
pub fn spare(min_up: u32, balancer: &Balancer, server: &Server) -> Result<(), Unsafe> {
    let mut out = vec![server.path()];
    while let Some(more) = balancer.servers.iter().find(|other| {
        !out.contains(&other.path())
            && other.tracks.as_ref().is_some_and(|leader| out.contains(leader))
    }) {
        out.push(more.path());
    }
    let mut judged = Vec::new();
    for gone in balancer.servers.iter().filter(|other| out.contains(&other.path())) {
        if judged.contains(&&gone.backend) {
            continue;
        }
        judged.push(&gone.backend);
        let staying: Vec<_> = balancer
            .servers
            .iter()
            .filter(|other| other.backend == gone.backend && !out.contains(&other.path()))
            .collect();
        let up = staying.iter().filter(|other| other.serves()).count();
        if up < min_up as usize {
            let undecided = staying.iter().filter(|other| other.is_undecided()).count();
            return Err(Unsafe::LastUp {
                place: Place { backend: gone.backend.clone(), ..place(balancer, server) },
                up,
                needed: min_up,
                others: staying
                    .iter()
                    .map(|other| format!("{} {}", other.server, other.condition()))
                    .collect(),
                passing: up + undecided >= min_up as usize,
            });
        }
    }
    Ok(())
}

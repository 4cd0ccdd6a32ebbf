//! What is observed, what is shown of it, and what a step does to it.

use std::fmt;

use ansible_module::Returns;
use haproxy_api::servers::{OpState, ServerState};
use haproxy_api::stat::ServerStat;
use haproxy_api::{Level, Name};
use serde::{Deserialize, Serialize};

/// Holds one reading of every load balancer.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// In the order of `sockets`.
    pub balancers: Vec<Balancer>,
}

/// Holds what one load balancer says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balancer {
    /// Where it was asked.
    pub socket: String,
    /// Why it did not answer.
    #[serde(default)]
    pub unreachable: Option<String>,
    /// What its socket may do.
    #[serde(default = "admin")]
    pub level: Level,
    /// All servers of all its backends.
    #[serde(default)]
    pub servers: Vec<Server>,
}

fn admin() -> Level {
    Level::Admin
}

/// Holds what a load balancer says of one server.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The backend it is in.
    pub backend: Name,
    /// Its name.
    pub server: Name,
    /// Whether it is what the run is about.
    #[serde(default)]
    pub target: bool,
    /// What was asked of it.
    #[serde(default)]
    pub admin: Admin,
    /// Whether HAProxy takes it to be running.
    #[serde(default)]
    pub up: bool,
    /// Whether it is checked.
    #[serde(default)]
    pub checks: Checks,
    /// What the last finished check found.
    #[serde(default)]
    pub check: Verdict,
    /// The same in HAProxy's words.
    #[serde(default)]
    pub words: String,
    /// Sessions at this moment.
    #[serde(default)]
    pub sessions: u64,
    /// With 0 nothing is balanced to it.
    #[serde(default = "one")]
    pub weight: u32,
    /// `backend/server` that it follows.
    #[serde(default)]
    pub tracks: Option<String>,
    /// Whether this run had its checks begin from nothing.
    #[serde(default)]
    pub probed: bool,
    /// Seconds that this run has waited for it to be UP.
    #[serde(default)]
    pub waited: u64,
}

fn one() -> u32 {
    1
}

/// Says what was asked of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    /// Nothing: it serves while it is UP.
    #[default]
    Ready,
    /// No new connections.
    Drained,
    /// Nothing at all.
    Maintenance,
    /// What the server it follows was asked.
    Inherited,
    /// In maintenance until its name resolves.
    Unresolved,
}

/// Says whether a server is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checks {
    /// Its line has no `check`.
    None,
    /// Switched off at run time.
    Off,
    /// Checked.
    #[default]
    On,
}

/// Says what a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// None has finished.
    #[default]
    Unknown,
    /// It does not answer as it should.
    Failed,
    /// It answers as it should.
    Passed,
}

impl Server {
    /// Understands the two tables HAProxy has of a server.
    pub fn read(state: &ServerState, stat: &ServerStat) -> Self {
        let admin = match state.admin {
            bits if bits.is_maint_forced() => Admin::Maintenance,
            bits if bits.is_drain_forced() => Admin::Drained,
            bits if bits.is_maint_inherited() || bits.is_drain_inherited() => Admin::Inherited,
            bits if bits.is_unresolved() => Admin::Unresolved,
            _ => Admin::Ready,
        };
        let checks = match state.check {
            bits if !bits.is_configured() => Checks::None,
            bits if bits.is_enabled() => Checks::On,
            _ => Checks::Off,
        };
        let check = match &stat.check {
            Some(check) if check.is_passed() => Verdict::Passed,
            Some(_) => Verdict::Failed,
            None => Verdict::Unknown,
        };
        Self {
            backend: state.server.backend.clone(),
            server: state.server.server.clone(),
            target: false,
            admin,
            // Stopping is up for those who are bound to it only.
            up: matches!(state.op, OpState::Starting | OpState::Running),
            checks,
            check,
            words: stat.check.as_ref().map(ToString::to_string).unwrap_or_default(),
            sessions: stat.sessions,
            weight: state.weight,
            tracks: stat.tracks.clone(),
            probed: false,
            waited: 0,
        }
    }

    /// UP by its last finished check. A server that follows another has that one's verdict in `up` alone.
    pub fn is_proven(&self) -> bool {
        self.up
            && (self.tracks.is_some()
                || (self.checks == Checks::On && self.check == Verdict::Passed))
    }

    /// Gets new connections, and answers them as far as checks can tell. Not knowing counts as not serving.
    pub fn serves(&self) -> bool {
        self.admin == Admin::Ready && self.weight > 0 && self.is_proven()
    }

    /// May serve soon without anybody's doing.
    pub fn is_undecided(&self) -> bool {
        let checked = self.checks == Checks::On && self.check != Verdict::Failed;
        self.admin == Admin::Ready && self.weight > 0 && checked && !self.is_proven()
    }

    /// `backend/server`, as HAProxy writes it.
    pub fn path(&self) -> String {
        format!("{}/{}", self.backend, self.server)
    }

    /// Why it does not serve, or that it does.
    pub fn condition(&self) -> String {
        let asked = match self.admin {
            Admin::Drained => "is drained",
            Admin::Maintenance => "is in maintenance",
            Admin::Inherited => "follows a server that is taken out",
            Admin::Unresolved => "has a name that does not resolve",
            Admin::Ready if self.weight == 0 => "has weight 0",
            Admin::Ready if self.tracks.is_none() && self.checks == Checks::None => {
                "has no health check"
            }
            Admin::Ready if self.tracks.is_none() && self.checks == Checks::Off => {
                "has its health check switched off"
            }
            Admin::Ready if self.is_proven() => "is UP",
            Admin::Ready => return self.verdict(),
        };
        asked.to_owned()
    }

    /// What the checks say.
    pub fn verdict(&self) -> String {
        let state =
            if self.up { "counts as UP while its last check did not pass" } else { "is DOWN" };
        let words = if self.words.is_empty() { "not checked yet" } else { &self.words };
        format!("{state} ({words})")
    }
}

/// Names one server in one backend on one load balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The load balancer.
    pub socket: String,
    /// The backend.
    pub backend: Name,
    /// The server.
    pub server: Name,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.backend, self.server, self.socket)
    }
}

/// Names one change, or one wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// No new connections.
    Drain(Place),
    /// Until the sessions have ended everywhere.
    AwaitSessions(Name),
    /// Nothing at all.
    Maint(Place),
    /// End what has not ended by itself.
    ShutdownSessions(Place),
    /// Checks on, for a server that serves already.
    EnableHealth(Place),
    /// Checks from nothing, drained.
    Probe(Place),
    /// Until the checks have passed.
    AwaitUp(Place),
    /// New connections.
    Ready(Place),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(place) => write!(f, "drain {place}"),
            Self::AwaitSessions(server) => write!(f, "wait for the sessions on {server} to end"),
            Self::Maint(place) => write!(f, "put {place} into maintenance"),
            Self::ShutdownSessions(place) => write!(f, "shut down the sessions left on {place}"),
            Self::EnableHealth(place) => write!(f, "switch the health check of {place} on"),
            Self::Probe(place) => write!(f, "check {place} from nothing, drained"),
            Self::AwaitUp(place) => write!(f, "wait for {place} to be UP"),
            Self::Ready(place) => write!(f, "give connections to {place}"),
        }
    }
}

/// The state expected after a step, in the worst case.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut observed = observed.clone();
    for balancer in &mut observed.balancers {
        let socket = balancer.socket.clone();
        for server in balancer.servers.iter_mut().filter(|server| server.target) {
            let is = |place: &Place| place.socket == socket && place.backend == server.backend;
            let meant = step.place().is_none_or(is);
            if meant {
                change(server, step);
            }
        }
    }
    observed
}

fn change(server: &mut Server, step: &Step) {
    match step {
        // One may have begun while the command was on its way.
        Step::Drain(_) => {
            (server.admin, server.sessions) = (Admin::Drained, server.sessions.max(1));
        }
        Step::Maint(_) => {
            (server.admin, server.up, server.probed) = (Admin::Maintenance, false, false);
            server.sessions = server.sessions.max(1);
        }
        Step::AwaitSessions(_) | Step::ShutdownSessions(_) => server.sessions = 0,
        Step::EnableHealth(_) => {
            (server.checks, server.check) = (Checks::On, Verdict::Unknown);
        }
        Step::Probe(_) => {
            (server.admin, server.up, server.probed) = (Admin::Drained, false, true);
            (server.checks, server.check, server.waited) = (Checks::On, Verdict::Unknown, 0);
        }
        Step::AwaitUp(_) => {
            (server.up, server.check) = (true, Verdict::Passed);
        }
        Step::Ready(_) => server.admin = Admin::Ready,
    }
}

/// What is shown: where the server stands on every load balancer.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct View {
    /// The load balancers, in the order of O(sockets).
    pub load_balancers: Vec<BalancerView>,
}

/// One load balancer.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct BalancerView {
    /// Its runtime socket.
    pub socket: String,
    /// The backends that have the server.
    pub backends: Vec<BackendView>,
}

/// One backend.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct BackendView {
    /// Its name.
    pub backend: String,
    /// Name of the server.
    pub server: String,
    /// V(ready) and UP, V(down) (it would get connections if its health check passed), V(drained), V(maintenance), V(inherited) (from the server it tracks) or V(unresolved) (its name does not resolve).
    pub state: String,
    /// How many other servers of the backend are UP.
    pub others_up: u64,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let backend = |balancer: &Balancer, server: &Server| BackendView {
        backend: server.backend.to_string(),
        server: server.server.to_string(),
        state: match server.admin {
            Admin::Ready if server.up => "ready",
            Admin::Ready => "down",
            Admin::Drained => "drained",
            Admin::Maintenance => "maintenance",
            Admin::Inherited => "inherited",
            Admin::Unresolved => "unresolved",
        }
        .to_owned(),
        others_up: others(balancer, server).filter(|other| other.serves()).count() as u64,
    };
    let balancer = |balancer: &Balancer| BalancerView {
        socket: balancer.socket.clone(),
        backends: balancer
            .servers
            .iter()
            .filter(|server| server.target)
            .map(|server| backend(balancer, server))
            .collect(),
    };
    View { load_balancers: observed.balancers.iter().map(balancer).collect() }
}

/// The other servers of a server's backend.
pub fn others<'a>(balancer: &'a Balancer, server: &'a Server) -> impl Iterator<Item = &'a Server> {
    balancer
        .servers
        .iter()
        .filter(move |other| other.backend == server.backend && other.server != server.server)
}

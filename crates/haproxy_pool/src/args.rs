//! What a user may write, and what it means.

use std::time::Duration;

use ansible_module::{BadArgs, Options, Seconds, Until};
use haproxy_api::{Address, Name};

/// Takes a server out of HAProxy backends, or puts it back.
///
/// Works over the runtime socket of one or several load balancers and brings the server to the same state on every one of them.
/// What is set there lasts until HAProxy is reloaded; the next run sees that and sets it again.
///
/// The last server that is UP in a backend is never taken out, and a server is put back only after its health check has passed
/// C(rise) times.
#[derive(Options, Debug)]
pub struct Args {
    /// Runtime sockets of the load balancers, each a path on the host the task runs on or C(host:port).
    ///
    /// The line in HAProxy's configuration needs C(level admin), as in C(stats socket /run/haproxy/admin.sock mode 660 level admin).
    ///
    /// Every one of them has to answer before anything is changed.
    #[option(alias = "socket", default = "/run/haproxy/admin.sock")]
    pub sockets: Vec<String>,
    /// Backends to work on.
    ///
    /// All that have a server of this name when it is not given.
    #[option(alias = "backends")]
    pub backend: Vec<String>,
    /// Name of the server in the backends.
    #[option(alias = "host")]
    pub server: String,
    /// What the server shall be.
    ///
    /// For those who come from M(community.general.haproxy), V(drained) is V(drain) there, V(maintenance) is V(disabled) and V(ready) is V(enabled).
    pub state: State,
    /// How long the sessions on the server may take to end by themselves, together on all load balancers.
    #[option(default = "30")]
    pub drain_timeout: Seconds,
    /// Whether sessions that are still there after O(drain_timeout) are shut down. Otherwise they are left alone, and the task goes on.
    ///
    /// V(true) for O(state=maintenance) and V(false) for O(state=drained) when it is not given.
    pub shutdown_sessions: Option<bool>,
    /// How long the health check may take to find the server UP.
    #[option(default = "60")]
    pub ready_timeout: Seconds,
    /// How many other servers must be UP in each backend, on each load balancer, for this one to be taken out.
    ///
    /// UP are those that get new connections and whose last health check passed.
    #[option(default = "1")]
    pub min_up: u32,
    /// Until when the run may count on the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holds_until).
    ///
    /// When it is given, each change is only made before that time, by the clock of the host the task runs on.
    pub lock_until: Option<Until>,
}

/// What a server can be.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The server gets no new connections. Those it has are waited for, health checks go on. A server in maintenance is left there.
    Drained,
    /// The server is drained first, and then gets nothing at all, health checks included.
    Maintenance,
    /// The server gets connections, and its health check has found it UP.
    Ready,
}

/// The arguments after validation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where the load balancers are.
    pub sockets: Vec<Address>,
    /// Empty means: wherever the server is.
    pub backends: Vec<Name>,
    /// Its name.
    pub server: Name,
    /// What it shall be.
    pub state: State,
    /// For sessions to end by themselves.
    pub drain_timeout: Duration,
    /// Whether those that do not are ended.
    pub shutdown_sessions: bool,
    /// For the health check to pass.
    pub ready_timeout: Duration,
    /// Others that must serve.
    pub min_up: u32,
    /// No change is made after that.
    pub lock_until: Option<Until>,
}

/// Validates.
pub fn wanted(args: &Args) -> Result<Wanted, BadArgs> {
    let mut sockets: Vec<Address> = Vec::new();
    for text in &args.sockets {
        let socket = Address::parse(text).map_err(BadArgs::new)?;
        if sockets.contains(&socket) {
            return Err(BadArgs::new(format!("sockets names \"{socket}\" twice")));
        }
        sockets.push(socket);
    }
    if sockets.is_empty() {
        return Err(BadArgs::new(
            "sockets is empty; it names the runtime socket of each load balancer",
        ));
    }
    let name = |option: &str, text: &str| {
        Name::new(text).map_err(|error| BadArgs::new(format!("{option}: {error}")))
    };
    Ok(Wanted {
        sockets,
        backends: args
            .backend
            .iter()
            .map(|text| name("backend", text))
            .collect::<Result<_, _>>()?,
        server: name("server", &args.server)?,
        state: args.state,
        drain_timeout: args.drain_timeout.0,
        shutdown_sessions: args.shutdown_sessions.unwrap_or(args.state == State::Maintenance),
        ready_timeout: args.ready_timeout.0,
        min_up: args.min_up,
        lock_until: args.lock_until,
    })
}

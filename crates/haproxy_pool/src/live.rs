//! The doors to HAProxy.

use std::fs::File;
use std::time::{Duration, Instant};

use ansible_module::Applied;
use anyhow::{Context, bail};
use haproxy_api::{Address, Denial, Error, Level, Runtime, ServerRef};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::args::Wanted;
use crate::plan::spare;
use crate::state::{Balancer, Observed, Place, Server, Step};

/// For one exchange with one socket.
const EXCHANGE: Duration = Duration::from_secs(3);

/// Speaks to the load balancers of one run.
pub struct Pool {
    runtimes: Vec<Runtime>,
    min_up: u32,
    opened: Instant,
    /// Which places this run has put to the test, and when.
    probed: Vec<(Place, Instant)>,
}

impl Pool {
    /// Connects to nothing yet: each request is a connection of its own.
    pub fn open(wanted: &Wanted) -> Self {
        let runtimes =
            wanted.sockets.iter().map(|socket| Runtime::new(socket.clone(), EXCHANGE)).collect();
        Self { runtimes, min_up: wanted.min_up, opened: Instant::now(), probed: vec![] }
    }

    /// Reads every load balancer. One that does not answer is part of the reading.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let mut balancers = Vec::new();
        for runtime in &self.runtimes {
            let mut balancer = match read(runtime).await {
                Ok(balancer) => balancer,
                Err(error @ (Error::Unreachable { .. } | Error::TimedOut { .. })) => {
                    absent(runtime, Some(error.to_string()), Level::Admin)
                }
                Err(Error::Denied { denial: Denial::Permission, .. }) => {
                    absent(runtime, None, Level::User)
                }
                Err(error) => return Err(error).context("read the state of the servers"),
            };
            for server in &mut balancer.servers {
                let asked = wanted.backends.is_empty() || wanted.backends.contains(&server.backend);
                server.target = asked && server.server == wanted.server;
                let place = Place {
                    socket: balancer.socket.clone(),
                    backend: server.backend.clone(),
                    server: server.server.clone(),
                };
                let probe = self.probed.iter().find(|(probed, _)| *probed == place);
                server.probed = probe.is_some();
                server.waited = probe.map_or(self.opened, |(_, since)| *since).elapsed().as_secs();
            }
            balancers.push(balancer);
        }
        Ok(Observed { balancers })
    }

    /// Sends one step.
    pub async fn apply(&mut self, step: &Step) -> anyhow::Result<Applied> {
        let Some(place) = step.place() else { return Ok(Applied::Sent) };
        let runtime =
            self.runtimes.iter().find(|runtime| runtime.address().to_string() == place.socket);
        let runtime = runtime.with_context(|| format!("find the socket {}", place.socket))?;
        let server = ServerRef { backend: place.backend.clone(), server: place.server.clone() };
        match step {
            Step::Drain(_) => drain_one_at_a_time(runtime, &server, self.min_up).await?,
            Step::Maint(_) => runtime.maint(&server).await?,
            Step::ShutdownSessions(_) => {
                runtime.shutdown_sessions(&server).await?;
                // A drained server may be given one by a cookie or a stick table.
                return Ok(Applied::Again(Duration::from_secs(1), "sessions are left".to_owned()));
            }
            Step::EnableHealth(_) => runtime.enable_health(&server).await?,
            Step::Probe(_) => {
                runtime.probe(&server).await?;
                self.probed.push((place.clone(), Instant::now()));
            }
            Step::Ready(_) => runtime.ready(&server).await?,
            Step::AwaitSessions(_) | Step::AwaitUp(_) => {}
        }
        Ok(Applied::Sent)
    }
}

/// One load balancer, from two tables. A server that comes or goes between them makes the reading invalid.
async fn read(runtime: &Runtime) -> Result<Balancer, Error> {
    let level = runtime.level().await?;
    let (states, shown) = (runtime.servers().await?, runtime.stat().await?);
    let mut servers = Vec::with_capacity(states.len());
    for state in &states {
        let stat = shown.iter().find(|stat| stat.server == state.server).ok_or_else(|| {
            Error::Unreadable {
                address: runtime.address().clone(),
                request: "show stat".to_owned(),
                why: format!("it does not list {}", state.server),
            }
        })?;
        servers.push(Server::read(state, stat));
    }
    Ok(Balancer { level, servers, ..absent(runtime, None, level) })
}

fn absent(runtime: &Runtime, unreachable: Option<String>, level: Level) -> Balancer {
    Balancer { socket: runtime.address().to_string(), unreachable, level, servers: vec![] }
}

/// Judges once more and drains, while no other run on this host does the same.
///
/// A task that runs for all control planes at once (no `serial`, delegated to the load balancer) would otherwise find the others UP in
/// every one of its processes, and take out all.
async fn drain_one_at_a_time(
    runtime: &Runtime,
    server: &ServerRef,
    min_up: u32,
) -> anyhow::Result<()> {
    let _turn = turn(runtime.address()).await?;
    let balancer = read(runtime).await?;
    let found = balancer
        .servers
        .iter()
        .find(|other| other.backend == server.backend && other.server == server.server);
    let Some(found) = found else { bail!("drain {server}: it is not there any more") };
    if let Err(reason) = spare(min_up, &balancer, found) {
        bail!("{}", ansible_module::Refusal::from(reason));
    }
    Ok(runtime.drain(server).await?)
}

/// Locks the directory of a unix socket, which leaves no file behind. Another host's runs are kept away by `control_plane_lock` only.
async fn turn(address: &Address) -> anyhow::Result<Option<Flock<File>>> {
    let Address::Unix(path) = address else { return Ok(None) };
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(std::path::Path::new("."));
    let mut file = File::open(dir).with_context(|| format!("open {}", dir.display()))?;
    let until = Instant::now() + EXCHANGE * 3;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Some(held)),
            Err((other, Errno::EWOULDBLOCK)) if Instant::now() < until => file = other,
            Err((_, error)) => {
                return Err(error).with_context(|| format!("lock {}", dir.display()));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

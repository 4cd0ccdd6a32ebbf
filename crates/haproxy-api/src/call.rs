//! The calls.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::servers::{self, ServerState};
use crate::stat::{self, ServerStat};
use crate::{Address, Denial, Error, ServerRef};

/// The longest answer that is read: `show stat` of some 30,000 servers.
const LONGEST: u64 = 16 << 20;

/// Says what a socket may do (`level` of its `stats socket` line).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    User,
    Operator,
    Admin,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// Holds what `show info` says of the process behind the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Such as `2.6.12-1+deb12u4`.
    pub version: String,
    /// Changes with every reload, and with it all runtime state is gone.
    pub pid: u32,
}

/// Speaks to one HAProxy.
#[derive(Clone, Debug)]
pub struct Runtime {
    address: Address,
    deadline: Duration,
}

impl Runtime {
    /// Names the socket and how long one exchange may take; connects to nothing yet.
    pub fn new(address: Address, deadline: Duration) -> Self {
        Self { address, deadline }
    }

    /// Where this one is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends one line and returns the whole answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`], and [`Error::Unreadable`] for an answer that is not UTF-8 or far too long.
    pub async fn request(&self, line: &str) -> Result<String, Error> {
        let exchange = async {
            match &self.address {
                Address::Unix(path) => converse(UnixStream::connect(path).await?, line).await,
                Address::Tcp(address) => converse(TcpStream::connect(address).await?, line).await,
            }
        };
        let bytes = match timeout(self.deadline, exchange).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(source)) => {
                return Err(Error::Unreachable { address: self.address.clone(), source });
            }
            Err(_) => {
                return Err(Error::TimedOut {
                    address: self.address.clone(),
                    after: self.deadline,
                });
            }
        };
        String::from_utf8(bytes).map_err(|error| self.unreadable(line, error.to_string()))
    }

    /// The level of the socket.
    pub async fn level(&self) -> Result<Level, Error> {
        let request = "show cli level";
        match self.request(request).await?.trim() {
            "admin" => Ok(Level::Admin),
            "operator" => Ok(Level::Operator),
            "user" => Ok(Level::User),
            other => Err(self.unreadable(request, format!("expected a level, found \"{other}\""))),
        }
    }

    /// Version and process id.
    pub async fn info(&self) -> Result<Info, Error> {
        let request = "show info";
        let answer = self.request(request).await?;
        let value =
            |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let (version, pid) = (value("Version:"), value("Pid:").and_then(|pid| pid.parse().ok()));
        match (version, pid) {
            (Some(version), Some(pid)) => Ok(Info { version: version.to_owned(), pid }),
            _ => Err(self.unreadable(request, "it has no version or no pid".into())),
        }
    }

    /// All servers of all backends, as HAProxy would save them.
    pub async fn servers(&self) -> Result<Vec<ServerState>, Error> {
        self.table("show servers state", servers::parse).await
    }

    /// All servers of all backends, as HAProxy shows them.
    pub async fn stat(&self) -> Result<Vec<ServerStat>, Error> {
        // Of all proxies (-1) the servers only (4).
        self.table("show stat -1 4 -1", stat::parse).await
    }

    /// Gives the server no new connections; those it has go on, and checks too.
    pub async fn drain(&self, server: &ServerRef) -> Result<(), Error> {
        self.change(&format!("set server {server} state drain")).await
    }

    /// Takes the server out altogether; checks rest.
    pub async fn maint(&self, server: &ServerRef) -> Result<(), Error> {
        self.change(&format!("set server {server} state maint")).await
    }

    /// Lifts drain and maintenance. A server that leaves *maintenance* this way counts as up without any check; see
    /// [`Runtime::probe`].
    pub async fn ready(&self, server: &ServerRef) -> Result<(), Error> {
        self.change(&format!("set server {server} state ready")).await
    }

    /// Switches the checks on.
    pub async fn enable_health(&self, server: &ServerRef) -> Result<(), Error> {
        self.change(&format!("enable health {server}")).await
    }

    /// Has the checks prove the server from nothing: drained, down, and up again only after `rise` passes.
    ///
    /// HAProxy takes a server that leaves maintenance to be up at once. It leaves it for *drain* here, so that until the checks
    /// have spoken not even one connection is balanced to it.
    pub async fn probe(&self, server: &ServerRef) -> Result<(), Error> {
        self.change(&format!("enable health {server}; set server {server} state drain; set server {server} health down")).await
    }

    /// Ends every session on the server.
    pub async fn shutdown_sessions(&self, server: &ServerRef) -> Result<(), Error> {
        self.change(&format!("shutdown sessions server {server}")).await
    }

    async fn change(&self, request: &str) -> Result<(), Error> {
        let answer = self.request(request).await?;
        Denial::read(&answer).map_or(Ok(()), |denial| Err(self.denied(request, denial)))
    }

    async fn table<T>(
        &self,
        request: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        let answer = self.request(request).await?;
        parse(&answer).map_err(|why| match Denial::read(&answer) {
            Some(Denial::Other(_)) | None => self.unreadable(request, why),
            Some(denial) => self.denied(request, denial),
        })
    }

    fn denied(&self, request: &str, denial: Denial) -> Error {
        Error::Denied { address: self.address.clone(), request: request.to_owned(), denial }
    }

    fn unreadable(&self, request: &str, why: String) -> Error {
        Error::Unreadable { address: self.address.clone(), request: request.to_owned(), why }
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
) -> std::io::Result<Vec<u8>> {
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    // The writing side stays open: HAProxy before 2.9 may drop the answer of a client that has shut it.
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

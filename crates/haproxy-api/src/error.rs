//! What may go wrong on the socket.

use std::time::Duration;
use std::{fmt, io};

use crate::Address;

/// Says why a request brought nothing.
#[derive(Debug)]
pub enum Error {
    /// Nobody answered at the address.
    Unreachable { address: Address, source: io::Error },
    /// The whole exchange took too long; a change may have happened or not.
    TimedOut { address: Address, after: Duration },
    /// HAProxy answered that it will not.
    Denied { address: Address, request: String, denial: Denial },
    /// HAProxy answered with something this crate does not understand.
    Unreadable { address: Address, request: String, why: String },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, source } => {
                write!(f, "no answer from HAProxy at {address}: {source}")
            }
            Self::TimedOut { address, after } => {
                write!(f, "no answer from HAProxy at {address} within {after:?}")
            }
            Self::Denied { address, request, denial } => {
                write!(f, "HAProxy at {address} refused \"{request}\": {denial}")
            }
            Self::Unreadable { address, request, why } => {
                write!(f, "cannot read the answer of HAProxy at {address} to \"{request}\": {why}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Names the sentence with which HAProxy refuses a command.
///
/// The texts are those of src/cli.c, src/server.c and src/proxy.c, the same from 2.4 to 3.4 but for their line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The socket's level is below what the command needs.
    Permission,
    /// The backend has no server of that name.
    NoSuchServer,
    /// There is no backend of that name.
    NoSuchBackend,
    /// The server was not written as `backend/server`.
    NoServerGiven,
    /// The proxy is disabled: a stopped section, or an old process on its way out.
    ProxyDisabled,
    /// `enable health` on a server without `check`.
    NoCheck,
    /// `health up|down` on a server that follows another one.
    Tracking,
    /// `experimental-mode on` is needed before the command.
    Experimental,
    /// The version does not know the command.
    Unknown,
    /// Anything else, in HAProxy's words.
    Other(String),
}

impl Denial {
    /// Reads the answer to a command that changes something; an answer of empty lines is a yes.
    pub fn read(answer: &str) -> Option<Self> {
        let line = answer.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(match line {
            "Permission denied" => Self::Permission,
            "No such server." => Self::NoSuchServer,
            "No such backend." | "Can't find backend." => Self::NoSuchBackend,
            "Require 'backend/server'." => Self::NoServerGiven,
            "Proxy is disabled." => Self::ProxyDisabled,
            "Health check was not configured on this server, cannot enable."
            | "Health checks are not enabled on this server." => Self::NoCheck,
            "cannot change health on a tracking server." => Self::Tracking,
            "This command is restricted to experimental mode only." => Self::Experimental,
            line if line.starts_with("Unknown command") => Self::Unknown,
            line => Self::Other(line.to_owned()),
        })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permission => "permission denied; the `stats socket` line needs `level admin`",
            Self::NoSuchServer => "no such server",
            Self::NoSuchBackend => "no such backend",
            Self::NoServerGiven => "it wants backend/server",
            Self::ProxyDisabled => "the proxy is disabled",
            Self::NoCheck => "the server has no health check",
            Self::Tracking => "the server follows the checks of another one",
            Self::Experimental => "the command needs experimental mode",
            Self::Unknown => "this version does not know the command (is it the master's socket?)",
            Self::Other(line) => line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_empty_lines_are_a_yes() {
        assert_eq!(Denial::read("\n"), None);
        assert_eq!(Denial::read("\n\n\n"), None);
        assert_eq!(Denial::read(""), None);
        assert_eq!(Denial::read("\nPermission denied\n\n"), Some(Denial::Permission));
    }

    #[test]
    fn every_sentence_seen_on_2_6_has_its_variant() {
        let seen = [
            ("Permission denied\n\n", Denial::Permission),
            ("No such server.\n\n", Denial::NoSuchServer),
            ("No such backend.\n\n", Denial::NoSuchBackend),
            ("Can't find backend.\n\n", Denial::NoSuchBackend),
            ("Require 'backend/server'.\n\n", Denial::NoServerGiven),
            ("Health check was not configured on this server, cannot enable.\n\n", Denial::NoCheck),
            ("cannot change health on a tracking server.\n\n", Denial::Tracking),
            (
                "Unknown command, but maybe one of the following ones is a better match:\n  user\n\n",
                Denial::Unknown,
            ),
            ("Unknown command: 'foo'\n", Denial::Unknown),
            ("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n", {
                Denial::Other(
                    "'set server <srv> state' expects 'ready', 'drain' and 'maint'.".into(),
                )
            }),
        ];
        for (answer, denial) in seen {
            assert_eq!(Denial::read(answer), Some(denial));
        }
    }
}

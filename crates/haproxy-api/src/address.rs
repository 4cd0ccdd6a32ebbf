//! Where a runtime socket is, and the names that may stand in a command.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Names a runtime socket: a path, or `host:port` of a `stats socket ipv4@...` line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A unix socket on this machine.
    Unix(PathBuf),
    /// A TCP socket, as `host:port`.
    Tcp(String),
}

impl Address {
    /// Reads what a user wrote: whatever holds a slash is a path, the rest must end in a port.
    ///
    /// # Errors
    /// A sentence for the user, when the text is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(path) =
            text.strip_prefix("unix@").or_else(|| text.contains('/').then_some(text))
        {
            return Ok(Self::Unix(path.into()));
        }
        let text = text.strip_prefix("tcp@").or_else(|| text.strip_prefix("ipv4@")).unwrap_or(text);
        match text.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) =>
            {
                Ok(Self::Tcp(text.to_owned()))
            }
            _ => Err(format!(
                "socket \"{text}\" is neither a path such as /run/haproxy/admin.sock nor host:port"
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Holds the name of a backend or a server.
///
/// Made of the characters that HAProxy allows in names (`invalid_char()` in src/tools.c), so that a name can end neither a
/// command (`;`, a line end) nor itself (`/`, a blank).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Takes a name.
    ///
    /// # Errors
    /// Where HAProxy would not allow it either.
    pub fn new(name: impl Into<String>) -> Result<Self, NotAName> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if !name.is_empty() && name.chars().all(allowed) {
            Ok(Self(name))
        } else {
            Err(NotAName(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;
    fn try_from(name: String) -> Result<Self, NotAName> {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Says that a text cannot be a name in HAProxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAName(pub String);

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no HAProxy name: letters, digits and \"_-.:\" are allowed, and it must not be empty",
            self.0
        )
    }
}

impl std::error::Error for NotAName {}

/// Names one server of one backend, `backend/server` in commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerRef {
    /// The backend (or `listen` section) it is in.
    pub backend: Name,
    /// Its own name.
    pub server: Name,
}

impl fmt::Display for ServerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_host_with_port_are_told_apart() {
        assert_eq!(
            Address::parse("/run/haproxy/admin.sock"),
            Ok(Address::Unix("/run/haproxy/admin.sock".into()))
        );
        assert_eq!(Address::parse("unix@admin.sock"), Ok(Address::Unix("admin.sock".into())));
        assert_eq!(Address::parse("198.18.0.10:9999"), Ok(Address::Tcp("198.18.0.10:9999".into())));
        assert_eq!(
            Address::parse("ipv4@127.0.0.1:9999"),
            Ok(Address::Tcp("127.0.0.1:9999".into()))
        );
        for wrong in ["", "lb1", "lb1:", ":9999", "lb1:0", "lb1:http"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_cannot_smuggle_a_command() {
        assert!(Name::new("cp-1.example:6443_a").is_ok());
        for wrong in ["", "a b", "a;shutdown sessions", "a\nb", "a/b", "#3", "a\\;b", "é"] {
            assert!(Name::new(wrong).is_err(), "{wrong}");
        }
    }
}

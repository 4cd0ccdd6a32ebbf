//! What can go wrong with a call, and what may be tried again.

use std::{collections::BTreeMap, fmt};

/// Why a call did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// No answer: whether the request was carried out is not known.
    Unreachable {
        /// Method and path.
        call: String,
        /// What the transport said.
        why: String,
    },
    /// The API said no.
    Refused {
        /// Method and path.
        call: String,
        /// HTTP status.
        status: u16,
        /// The body's message, else the reason phrase.
        text: String,
        /// What is wrong with each parameter.
        fields: BTreeMap<String, String>,
    },
    /// An answer that makes no sense.
    Garbled {
        /// Method and path.
        call: String,
        /// What was expected.
        why: String,
    },
    /// The client could not be made.
    Setup(String),
}

/// What a failure means for the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Somebody else wrote the config since it was read: read it again, decide again.
    Digest,
    /// The config is being written by another task: nothing was done, try again.
    Busy,
    /// The VM is locked (backup, migrate, snapshot): nothing was done, wait for the lock to go.
    Locked,
    /// No answer, or none from the node behind the proxy: the request may have been carried out.
    Unknown,
    /// The VM, the task or the volume does not exist.
    Absent,
    /// The token may not.
    Denied,
    /// Not without a change of something.
    Other,
}

impl Class {
    /// Classifies the text of an error or of a task's exit status.
    pub fn of(text: &str) -> Self {
        // "missmatch" until 2024-10; the second form is PVE::Tools::assert_if_modified's.
        let digest = ["checksum mismatch", "checksum missmatch", "detected modified configuration"];
        let any = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
        if any(&digest) {
            Self::Digest
        } else if any(&["can't lock file"]) {
            Self::Busy
        } else if any(&["VM is locked ("]) {
            Self::Locked
        } else if any(&["does not exist", "no such task"]) {
            Self::Absent
        } else {
            Self::Other
        }
    }
}

impl Error {
    /// What the failure means for the caller.
    pub fn class(&self) -> Class {
        match self {
            // 595: no route to the other node, 596: it did not answer in time, 599: it hung up.
            Self::Unreachable { .. }
            | Self::Refused { status: 595 | 596 | 599 | 502..=504, .. } => Class::Unknown,
            Self::Refused { status: 401 | 403, .. } => Class::Denied,
            Self::Refused { text, fields, .. } => {
                let field = fields
                    .values()
                    .map(|text| Class::of(text))
                    .find(|class| *class != Class::Other);
                field.unwrap_or_else(|| Class::of(text))
            }
            Self::Garbled { .. } | Self::Setup(_) => Class::Other,
        }
    }

    /// The name in `VM is locked (name)`.
    pub fn lock(text: &str) -> Option<&str> {
        text.split_once("VM is locked (")?.1.split_once(')').map(|(name, _)| name)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Unreachable { call, why } => write!(f, "{call}: {why}"),
            Self::Refused { call, status, text, fields } => {
                write!(f, "{call}: {status} {text}")?;
                fields.iter().try_for_each(|(key, why)| write!(f, "; {key}: {why}"))
            }
            Self::Garbled { call, why } => write!(f, "{call}: not understood: {why}"),
            Self::Setup(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, text: &str) -> Class {
        Error::Refused { call: String::new(), status, text: text.into(), fields: BTreeMap::new() }
            .class()
    }

    #[test]
    fn each_text_has_its_class() {
        let table = [
            (500, "checksum mismatch (file change by other user?)", Class::Digest),
            (500, "checksum missmatch (file change by other user?)", Class::Digest),
            (
                500,
                "detected modified configuration - file changed by other user? Try again.",
                Class::Digest,
            ),
            (
                500,
                "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout",
                Class::Busy,
            ),
            (500, "VM is locked (backup)", Class::Locked),
            (
                500,
                "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist",
                Class::Absent,
            ),
            (595, "No route to host", Class::Unknown),
            (596, "Connection timed out", Class::Unknown),
            (401, "authentication failure", Class::Denied),
            (403, "Permission check failed (/vms/101, VM.Config.Disk)", Class::Denied),
            (500, "shrinking disks is not supported", Class::Other),
        ];
        for (status, text, class) in table {
            assert_eq!(refused(status, text), class, "{text}");
        }
        assert_eq!(Error::lock("VM is locked (backup)"), Some("backup"));
    }

    #[test]
    fn an_unknown_task_is_named_in_a_field() {
        let fields = BTreeMap::from([("upid".to_owned(), "no such task".to_owned())]);
        let error = Error::Refused {
            call: "GET x".into(),
            status: 400,
            text: "Parameter verification failed.".into(),
            fields,
        };
        assert_eq!(error.class(), Class::Absent);
        assert_eq!(
            error.to_string(),
            "GET x: 400 Parameter verification failed.; upid: no such task"
        );
    }
}

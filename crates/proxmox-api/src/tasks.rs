//! Tasks: names, states and outcomes.

use std::{fmt, str::FromStr};

/// The name of a task: `UPID:node:pid:pstart:start:type:id:user:`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upid {
    text: String,
    /// The node it runs on, which is the one to ask about it.
    pub node: String,
    /// Its type: `qmconfig`, `qmshutdown`, `resize`.
    pub kind: String,
    /// What it works on: the VM's id.
    pub id: String,
    /// Who started it.
    pub user: String,
}

impl FromStr for Upid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let hex = |part: &str, len: &[usize]| {
            len.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        match parts.as_slice() {
            ["UPID", node, pid, pstart, start, kind, id, user, ""]
                if !node.is_empty()
                    && !kind.is_empty()
                    && hex(pid, &[8])
                    && hex(pstart, &[8, 9])
                    && hex(start, &[8]) =>
            {
                let [node, kind, id, user] = [node, kind, id, user].map(|part| (*part).to_owned());
                Ok(Self { text: text.to_owned(), node, kind, id, user })
            }
            _ => Err(format!("{text:?} is no task id of Proxmox VE")),
        }
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What became of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It did what it was asked.
    Done,
    /// It did, with this many warnings.
    Warned(u32),
    /// It failed, and why.
    Failed(String),
}

/// Where a task stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskState {
    /// It runs.
    Running,
    /// It has ended.
    Ended(Outcome),
    /// The node does not know it, or no longer.
    Unknown,
}

impl Outcome {
    /// Reads an exit status. A task with warnings did its work: `WARNINGS: 1` is no failure.
    pub fn of(exit: &str) -> Self {
        match exit.strip_prefix("WARNINGS: ").map(str::parse) {
            Some(Ok(count)) => Self::Warned(count),
            _ if exit == "OK" => Self::Done,
            _ => Self::Failed(exit.trim().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_is_read_whole() {
        let text = "UPID:pve1:000003E8:00001B58:65000000:qmconfig:101:quorate@pve!lab:";
        let upid: Upid = text.parse().unwrap();
        assert_eq!(
            (upid.node.as_str(), upid.kind.as_str(), upid.id.as_str(), upid.user.as_str()),
            ("pve1", "qmconfig", "101", "quorate@pve!lab")
        );
        assert_eq!(upid.to_string(), text);
        // The start of the process has nine digits on a node that has been up for long.
        assert!(
            "UPID:pve1:000003E8:100001B58:65000000:qmstart:101:root@pam:".parse::<Upid>().is_ok()
        );
        for text in [
            "",
            "UPID:pve1",
            "UPID:pve1:3E8:00001B58:65000000:qmstart:101:root@pam:",
            "UPID:pve1:000003E8:00001B58:65000000:qmstart:101:root@pam",
        ] {
            assert!(text.parse::<Upid>().is_err(), "{text}");
        }
    }

    #[test]
    fn warnings_are_a_success() {
        assert_eq!(Outcome::of("OK"), Outcome::Done);
        assert_eq!(Outcome::of("WARNINGS: 2"), Outcome::Warned(2));
        assert_eq!(Outcome::of("WARNINGS: many"), Outcome::Failed("WARNINGS: many".into()));
        assert_eq!(Outcome::of("unexpected status"), Outcome::Failed("unexpected status".into()));
    }
}

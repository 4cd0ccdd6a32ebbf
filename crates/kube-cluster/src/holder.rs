//! Who holds a lock, and whether that process has ended.

use std::{collections::BTreeSet, fmt};

/// Who holds a lock: `host/boot-id/pid/start-time/run-id`, where the process is the one that runs the whole operation (ansible-playbook on the
/// controller), because tasks are one-shot programs. Any other text is a holder too, of which nothing can be known but that it is another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Holder(String);

/// The process behind a holder. Host, boot and start time make the process id unambiguous, however often it is used again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Name of its host. Where processes are numbered apart (a container), the name must tell that from the host itself.
    pub host: String,
    /// The kernel's id of the boot.
    pub boot_id: String,
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of proc(5) stat.
    pub started: u64,
    /// Tells apart runs within one process.
    pub run: String,
}

impl Holder {
    /// Takes the text as it stands.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The process behind it, where the text names one.
    pub fn process(&self) -> Option<Process> {
        let parts: Vec<_> = self.0.split('/').collect();
        let [host, boot_id, pid, started, run] = parts.as_slice() else { return None };
        Some(Process {
            host: (*host).into(),
            boot_id: (*boot_id).into(),
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
            run: (*run).into(),
        })
    }
}

impl fmt::Display for Holder {
    /// For people: the boot id and the start time only matter to programs.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.process() {
            Some(Process { host, pid, run, .. }) => {
                write!(f, "process {pid} on {host} (run {run})")
            }
            None => write!(f, "{:?}", self.0),
        }
    }
}

impl From<Process> for Holder {
    fn from(process: Process) -> Self {
        let Process { host, boot_id, pid, started, run } = process;
        Self(format!("{host}/{boot_id}/{pid}/{started}/{run}"))
    }
}

/// Every process that ran on one host at one moment, so that the end of another can be proven.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Witness {
    host: String,
    boot_id: String,
    alive: BTreeSet<(u64, u32)>,
}

impl Witness {
    /// Of the host and boot that a holder lives in: the start time and id of every process there.
    pub fn new(holder: &Holder, alive: impl IntoIterator<Item = (u32, u64)>) -> Option<Self> {
        let Process { host, boot_id, .. } = holder.process()?;
        Some(Self {
            host,
            boot_id,
            alive: alive.into_iter().map(|(pid, start)| (start, pid)).collect(),
        })
    }

    /// Whether the holder's process has certainly ended: it lived on this host, in this boot, and is not among the processes.
    ///
    /// One that started later than all of them may have started after they were counted, and is not judged. Neither is another boot of a host
    /// of the same name, which may be another host.
    pub fn has_outlived(&self, holder: &Holder) -> bool {
        let Some(process) = holder.process() else { return false };
        let here = process.host == self.host && process.boot_id == self.boot_id;
        let counted = self.alive.last().is_some_and(|(latest, _)| process.started <= *latest);
        here && counted && !self.alive.contains(&(process.started, process.pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(host: &str, boot: &str, pid: u32, started: u64) -> Holder {
        let (host, boot_id, run) = (host.into(), boot.into(), "r".into());
        Process { host, boot_id, pid, started, run }.into()
    }

    #[test]
    fn a_holder_reads_back() {
        let text = "ctl/0b5f/4242/987654/1f3c";
        let process = Holder::new(text).process().unwrap();
        assert_eq!((process.pid, process.started), (4242, 987_654));
        assert_eq!(Holder::from(process).as_str(), text);
        assert_eq!(Holder::new(text).to_string(), "process 4242 on ctl (run 1f3c)");
        assert_eq!(Holder::new("the night shift").to_string(), "\"the night shift\"");
        assert!(Holder::new("a/b/c/d/e").process().is_none());
    }

    #[test]
    fn only_a_certain_end_counts() {
        let witness =
            Witness::new(&holder("ctl", "b", 10, 500), [(1, 1), (10, 500), (11, 600)]).unwrap();
        let cases = [
            (holder("ctl", "b", 10, 500), false, "alive"),
            (holder("ctl", "b", 10, 400), true, "the id was used again"),
            (holder("ctl", "b", 9, 500), true, "gone"),
            (holder("ctl", "b", 12, 601), false, "started after the count"),
            (holder("ctl", "c", 9, 500), false, "another boot, maybe another host"),
            (holder("other", "b", 9, 500), false, "another host"),
            (Holder::new("somebody"), false, "unknown"),
        ];
        for (other, expected, why) in cases {
            assert_eq!(witness.has_outlived(&other), expected, "{why}");
        }
    }
}

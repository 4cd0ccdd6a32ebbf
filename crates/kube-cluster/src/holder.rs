//! Who holds a lock, and whether that process has ended.

use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt};

/// Who holds a lock: `host/boot-id/pid/start-time/run-id`, where the process is the one that runs the whole operation (ansible-playbook on the
/// controller), because tasks are one-shot programs. Any other text is a holder too, of which nothing can be known but that it is another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Holder(String);

/// The process behind a holder. Host, boot and start time make the process id unambiguous, however often it is used again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Name of its host.
    pub host: String,
    /// The kernel's id of the boot.
    pub boot_id: String,
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of proc(5) stat.
    pub started: u64,
    /// Names the run; see [`run_id`].
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

/// Every process of one process-id namespace at one moment, so that the end of another can be proven.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Witness {
    /// Name of the host.
    pub host: String,
    /// The kernel's id of the boot.
    pub boot_id: String,
    /// The namespace the ids are of, as `readlink /proc/self/ns/pid` has it.
    pub space: String,
    /// Start time and id of every process.
    pub alive: BTreeSet<(u64, u32)>,
}

impl Witness {
    /// Whether the holder's process has certainly ended: it lived here, and is not among the processes.
    ///
    /// *Here* is the same host, boot and process-id namespace; a run id that is not made of the namespace proves nothing, for two containers may
    /// share the rest. Neither does another boot of a host of the same name, which may be another host. A process that started later than all that
    /// were counted may have started after the count, and is not judged.
    pub fn has_outlived(&self, holder: &Holder) -> bool {
        let Some(process) = holder.process() else { return false };
        let Process { host, boot_id, pid, started, run } = &process;
        let here = *host == self.host && *boot_id == self.boot_id;
        let counted = self.alive.last().is_some_and(|(latest, _)| started <= latest);
        let ours = *run == run_id(boot_id, &self.space, *pid, *started);
        here && ours && counted && !self.alive.contains(&(*started, *pid))
    }
}

/// The run id of a process: eight digits of a hash over what names it, its process-id namespace included. The collection's action plugin makes the
/// same one, so that a run can be recognised wherever its tasks are carried out.
pub fn run_id(boot_id: &str, space: &str, pid: u32, started: u64) -> String {
    let hash = Sha256::digest(format!("{boot_id}/{space}/{pid}/{started}"));
    let digits = hash.iter().take(4).fold(0_u32, |digits, byte| digits << 8 | u32::from(*byte));
    format!("{digits:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(host: &str, boot: &str, pid: u32, started: u64) -> Holder {
        let run = run_id(boot, "pid:[1]", pid, started);
        Process { host: host.into(), boot_id: boot.into(), pid, started, run }.into()
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
        let alive = [(1, 1), (500, 10), (600, 11)].into();
        let witness =
            Witness { host: "ctl".into(), boot_id: "b".into(), space: "pid:[1]".into(), alive };
        let cases = [
            (holder("ctl", "b", 10, 500), false, "alive"),
            (holder("ctl", "b", 10, 400), true, "the id was used again"),
            (holder("ctl", "b", 9, 500), true, "gone"),
            (holder("ctl", "b", 12, 601), false, "started after the count"),
            (holder("ctl", "c", 9, 500), false, "another boot, maybe another host"),
            (holder("other", "b", 9, 500), false, "another host"),
            (Holder::new("ctl/b/9/500/1f3c9d2e"), false, "another process-id namespace"),
            (Holder::new("somebody"), false, "unknown"),
        ];
        for (other, expected, why) in cases {
            assert_eq!(witness.has_outlived(&other), expected, "{why}");
        }
    }

    #[test]
    fn the_run_id_is_the_action_plugins() {
        // hashlib.sha256(b'0b5f/pid:[4026531836]/4242/987654').hexdigest()[:8]
        assert_eq!(run_id("0b5f", "pid:[4026531836]", 4242, 987_654), "baee8a83");
    }
}

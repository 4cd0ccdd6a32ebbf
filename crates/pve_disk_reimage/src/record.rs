//! The note in a machine's description that says which disk replaced which.
//!
//! It is written by the request that replaces the disk, so that neither can be there without the other (but for a failed request, after which the note may
//! lie in the pending section; it says nothing as long as the disk is the old volume). It stays when the old volume is removed, so that a late
//! re-run still knows what has been done.

use proxmox_api::Size;
use std::fmt;

/// `quorate: scsi0 replaced lab:vm-102-disk-0 (8G) by local:import/control-plane.raw`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Key of the disk.
    pub disk: String,
    /// The volume that was there before.
    pub condemned: String,
    /// Its size: what the new disk is extended to.
    pub size: Size,
    /// What the new one was copied from.
    pub image: String,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "quorate: {} replaced {} ({}) by {}",
            self.disk, self.condemned, self.size, self.image
        )
    }
}

impl Record {
    fn read(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["quorate:", disk, "replaced", condemned, size, "by", image] = words.as_slice() else {
            return None;
        };
        let size = size.strip_prefix('(')?.strip_suffix(')')?.parse().ok()?;
        let [disk, condemned, image] = [disk, condemned, image].map(|word| (*word).to_owned());
        Some(Self { disk, condemned, size, image })
    }

    /// The note about a disk.
    pub fn find(description: &str, disk: &str) -> Option<Self> {
        description.lines().filter_map(Self::read).find(|record| record.disk == disk)
    }

    /// The description with this note in the place of an older one about the same disk. Everything else stays.
    pub fn write_into(&self, description: &str) -> String {
        let other = |line: &&str| Self::read(line).is_none_or(|record| record.disk != self.disk);
        let mut lines: Vec<String> = description.lines().filter(other).map(str::to_owned).collect();
        lines.push(self.to_string());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(disk: &str, condemned: &str) -> Record {
        Record {
            disk: disk.into(),
            condemned: condemned.into(),
            size: Size(8 << 30),
            image: "local:import/cp.raw".into(),
        }
    }

    #[test]
    fn a_note_is_read_back_and_leaves_the_rest_alone() {
        let text = "The second control plane.\n\n* call Ada before you touch it";
        let once = record("scsi0", "lab:vm-102-disk-0").write_into(text);
        assert_eq!(
            once,
            format!(
                "{text}\nquorate: scsi0 replaced lab:vm-102-disk-0 (8G) by local:import/cp.raw"
            )
        );
        assert_eq!(Record::find(&once, "scsi0"), Some(record("scsi0", "lab:vm-102-disk-0")));
        let again = record("scsi0", "lab:vm-102-disk-1")
            .write_into(&record("scsi1", "lab:b").write_into(&once));
        assert_eq!(Record::find(&again, "scsi0"), Some(record("scsi0", "lab:vm-102-disk-1")));
        assert_eq!(Record::find(&again, "scsi1"), Some(record("scsi1", "lab:b")));
        assert!(again.starts_with(text) && again.lines().count() == 5, "{again}");
    }

    #[test]
    fn what_people_write_is_no_note() {
        for text in [
            "",
            "quorate: scsi0 replaced",
            "scsi0 replaced a (8G) by b",
            "quorate: scsi0 replaced a (big) by b",
            "quorate: scsi0 replaced a (8G) by b today",
        ] {
            assert_eq!(Record::find(text, "scsi0"), None, "{text}");
        }
    }
}

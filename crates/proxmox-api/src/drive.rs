//! Drives, as they stand in a VM's config: `lab:vm-101-disk-0,discard=on,size=8G`.

use crate::Size;
use std::{fmt, str::FromStr};

/// A drive's volume and its options. Options that are not known here are kept, and so is their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drive {
    /// `storage:name`, a path, or a keyword (`none`, `cdrom`).
    pub volume: String,
    /// Options in the order they are written.
    pub options: Vec<(String, String)>,
}

/// Options that belong to the volume and not to the drive: they are not carried over to another volume.
const OF_THE_VOLUME: [&str; 4] = ["file", "format", "import-from", "size"];

impl Drive {
    /// The option's value.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The size that the config notes, where it does.
    pub fn size(&self) -> Option<Size> {
        self.option("size").and_then(|text| text.parse().ok())
    }

    /// The storage, where the volume is one of PVE's.
    pub fn storage(&self) -> Option<&str> {
        self.volume
            .split_once(':')
            .map(|(storage, _)| storage)
            .filter(|storage| !storage.starts_with('/'))
    }

    /// Whether it is a CD-ROM, which has no volume of its own.
    pub fn is_cdrom(&self) -> bool {
        self.option("media") == Some("cdrom") || ["none", "cdrom"].contains(&self.volume.as_str())
    }

    /// What to write in its place so that a copy of `source` on `storage` takes its role, with all its options.
    #[must_use]
    pub fn imported(&self, storage: &str, source: &str) -> Self {
        let kept = self.options.iter().filter(|(key, _)| !OF_THE_VOLUME.contains(&key.as_str()));
        let import = ("import-from".to_owned(), source.to_owned());
        // The syntax is enforced: `<storage>:0`, or "'import-from' requires special syntax".
        Self {
            volume: format!("{storage}:0"),
            options: std::iter::once(import).chain(kept.cloned()).collect(),
        }
    }

    /// The same drive with another size noted.
    #[must_use]
    pub fn with_size(&self, size: Size) -> Self {
        let mut options: Vec<_> =
            self.options.iter().filter(|(key, _)| key != "size").cloned().collect();
        options.push(("size".into(), size.to_string()));
        Self { volume: self.volume.clone(), options }
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.volume)?;
        self.options.iter().try_for_each(|(key, value)| write!(f, ",{key}={value}"))
    }
}

impl FromStr for Drive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut volume, mut options) = (None, vec![]);
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("file", value)) => volume = Some(value.to_owned()),
                Some((key, value)) => options.push((key.to_owned(), value.to_owned())),
                None if volume.is_none() => volume = Some(part.to_owned()),
                None => return Err(format!("drive {text:?} names two volumes")),
            }
        }
        volume
            .map(|volume| Self { volume, options })
            .ok_or_else(|| format!("drive {text:?} names no volume"))
    }
}

/// Whether a key of a VM's config is a drive.
pub fn is_drive_key(key: &str) -> bool {
    let most =
        [("ide", 3), ("sata", 5), ("scsi", 30), ("virtio", 15), ("efidisk", 0), ("tpmstate", 0)];
    most.iter().any(|(bus, last)| numbered(key, bus).is_some_and(|number| number <= *last))
}

/// Whether a key of a VM's config is a volume that is kept and not used.
pub fn is_unused_key(key: &str) -> bool {
    numbered(key, "unused").is_some()
}

fn numbered(key: &str, name: &str) -> Option<u32> {
    let number = key.strip_prefix(name)?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit())
        && (number.len() == 1 || !number.starts_with('0'));
    if plain { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_prints_as_it_was_read() {
        for text in [
            "lab:vm-101-disk-0,discard=on,size=8G",
            "local:101/vm-101-disk-0.qcow2,zzz=1,aio=native,iothread=1",
            "none,media=cdrom",
            "/dev/sdb,wwn=0x5",
        ] {
            assert_eq!(text.parse::<Drive>().unwrap().to_string(), text);
        }
        assert_eq!("size=8G,file=lab:x".parse::<Drive>().unwrap().to_string(), "lab:x,size=8G");
        for text in ["", "size=8G", "a:b,c:d"] {
            assert!(text.parse::<Drive>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_import_keeps_the_role_and_drops_what_belongs_to_the_volume() {
        let old: Drive =
            "lab:vm-101-disk-0,discard=on,format=raw,iothread=1,serial=A,size=8G,future=1"
                .parse()
                .unwrap();
        assert_eq!(
            old.imported("fast", "local:import/cp.raw").to_string(),
            "fast:0,import-from=local:import/cp.raw,discard=on,iothread=1,serial=A,future=1"
        );
    }

    #[test]
    fn keys_of_drives() {
        let yes = ["scsi0", "scsi30", "virtio15", "sata5", "ide0", "efidisk0"];
        let no = ["scsi31", "scsi", "scsihw", "scsi01", "net0", "unused0", "ide4", "efidisk1"];
        assert!(yes.iter().all(|key| is_drive_key(key)) && !no.iter().any(|key| is_drive_key(key)));
        assert!(is_unused_key("unused12") && !is_unused_key("unused"));
    }
}

//! The config of a VM.

use crate::{Drive, Size, drive};
use std::{collections::BTreeMap, fmt};

/// Every key of a VM's config as text, and the digest that says which version of it this is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VmConfig {
    /// Keys and values, without `digest` and `snapshots`.
    pub keys: BTreeMap<String, String>,
    /// SHA-1 of the config file; a write that carries it fails when somebody else has written meanwhile.
    pub digest: String,
}

/// What `smbios1` tells about a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Smbios {
    /// The UUID in lower case: what the guest sees as its product UUID.
    pub uuid: String,
}

impl VmConfig {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// Whether a boolean key is set.
    pub fn is_set(&self, key: &str) -> bool {
        ["1", "yes", "true", "on"].contains(&self.get(key).unwrap_or_default())
    }

    /// The drive of this key, where there is one that can be read.
    pub fn drive(&self, key: &str) -> Option<Drive> {
        self.get(key).filter(|_| drive::is_drive_key(key)).and_then(|text| text.parse().ok())
    }

    /// All drives with a volume of their own.
    pub fn disks(&self) -> BTreeMap<String, Drive> {
        let drives = self.keys.keys().filter_map(|key| Some((key.clone(), self.drive(key)?)));
        drives.filter(|(_, drive)| !drive.is_cdrom()).collect()
    }

    /// Volumes that are kept and not used, by key.
    pub fn unused(&self) -> BTreeMap<String, String> {
        let keys = self.keys.iter().filter(|(key, _)| drive::is_unused_key(key));
        keys.filter_map(|(key, text)| Some((key.clone(), text.parse::<Drive>().ok()?.volume)))
            .collect()
    }

    /// The VM's identity towards its guest.
    pub fn smbios(&self) -> Option<Smbios> {
        let uuid = self.get("smbios1")?.split(',').find_map(|part| part.strip_prefix("uuid="))?;
        Some(Smbios { uuid: uuid.to_lowercase() })
    }

    /// The size that the config notes for a drive.
    pub fn size_of(&self, key: &str) -> Option<Size> {
        self.drive(key).and_then(|drive| drive.size())
    }

    /// The devices it boots from, in order; nothing where the legacy form or the default is used.
    pub fn boot(&self) -> Option<BootOrder> {
        let order = self.get("boot")?.split(',').find_map(|part| part.strip_prefix("order="))?;
        Some(BootOrder(
            order.split(';').filter(|device| !device.is_empty()).map(str::to_owned).collect(),
        ))
    }
}

/// `order=scsi0;net0`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootOrder(pub Vec<String>);

impl fmt::Display for BootOrder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "order={}", self.0.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> VmConfig {
        let keys =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        VmConfig { keys, digest: String::new() }
    }

    #[test]
    fn disks_are_drives_with_a_volume() {
        let config = config(&[
            ("scsi0", "lab:a,size=8G"),
            ("ide2", "none,media=cdrom"),
            ("scsihw", "virtio-scsi-single"),
            ("unused3", "lab:b"),
        ]);
        assert_eq!(config.disks().keys().collect::<Vec<_>>(), ["scsi0"]);
        assert_eq!(
            config.unused().into_iter().collect::<Vec<_>>(),
            [("unused3".to_owned(), "lab:b".to_owned())]
        );
        assert_eq!(config.size_of("scsi0"), Some(Size(8 << 30)));
    }

    #[test]
    fn identity_and_boot_order() {
        let config = config(&[
            ("smbios1", "base64=1,uuid=0AB1F0D2-0000-4000-8000-000000000101"),
            ("boot", "order=scsi0;net0"),
            ("protection", "1"),
        ]);
        assert_eq!(config.smbios().unwrap().uuid, "0ab1f0d2-0000-4000-8000-000000000101");
        assert_eq!(config.boot().unwrap().to_string(), "order=scsi0;net0");
        assert!(config.is_set("protection") && !config.is_set("onboot"));
        assert_eq!(self::config(&[("boot", "cdn")]).boot(), None);
    }
}

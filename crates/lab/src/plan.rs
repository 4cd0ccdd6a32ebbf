//! Who is in the lab and where: names, addresses, numbers. Nothing here touches the machine.

/// The network namespace in which everything of the lab can be reached.
pub const NAMESPACE: &str = "quorate-lab";
/// The network namespace of the PVE API, so that it can be cut off like a host.
pub const PVE_NAMESPACE: &str = "quorate-lab-pve";
pub const BRIDGE: &str = "br0";
/// The machine itself, inside the namespace: where Ansible runs.
pub const CONTROLLER: &str = "198.18.0.1";
pub const PVE_ADDRESS: &str = "198.18.0.5";
pub const PVE_PORT: u16 = 8006;
pub const PVE_NODE: &str = "pve1";
pub const API_PORT: u16 = 6443;
pub const SERVICE_RANGE: &str = "198.19.128.0/17";

/// The storage of the VMs' disks and the one of import images, as the PVE API calls them.
pub const DISK_STORAGE: &str = "lab";
pub const IMPORT_STORAGE: &str = "local";
pub const IMPORT_IMAGE: &str = "control-plane.raw";
/// Size of a VM's disk; the import image is smaller, as cloud images are.
pub const DISK_BYTES: u64 = 8 << 30;
pub const IMAGE_BYTES: u64 = 4 << 30;

/// A booted host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: &'static str,
    /// The last byte of its address.
    pub number: u8,
    /// Its VM, if it is one: the load balancer is not.
    pub vmid: Option<u16>,
}

const fn control_plane(name: &'static str, number: u8, vmid: u16) -> Host {
    Host { name, number, vmid: Some(vmid) }
}

pub const LOAD_BALANCER: Host = Host { name: "lb", number: 10, vmid: None };
pub const CONTROL_PLANES: [Host; 3] =
    [control_plane("cp1", 11, 101), control_plane("cp2", 12, 102), control_plane("cp3", 13, 103)];

/// Returns every host, the load balancer first, because it is wanted first.
pub fn hosts() -> impl Iterator<Item = Host> {
    std::iter::once(LOAD_BALANCER).chain(CONTROL_PLANES)
}

/// Returns the host of that name.
pub fn host(name: &str) -> Option<Host> {
    hosts().find(|host| host.name == name)
}

/// Returns the names of all hosts, for a message.
pub fn host_names() -> String {
    hosts().map(|host| host.name).collect::<Vec<_>>().join(", ")
}

impl Host {
    pub fn address(self) -> String {
        format!("198.18.0.{}", self.number)
    }

    /// Returns the range of the pods on this host.
    pub fn pods(self) -> Option<String> {
        self.vmid.map(|_| format!("198.19.{}.0/24", self.number))
    }

    /// Returns the firmware's identity of the machine, which becomes its machine id too.
    pub fn uuid(self) -> String {
        format!("0ab1f0d2-5c7e-4b1a-9d00-0000000001{:02x}", self.number)
    }

    pub fn mac(self) -> String {
        format!("BC:24:11:12:00:{:02X}", self.number)
    }
}

/// Returns the bridge's end of the cable of a host, or of `pve`, as systemd-nspawn calls it.
pub fn port(name: &str) -> String {
    format!("vb-{name}")
}

/// Returns the file of a VM's first disk, relative to the directory of live disks.
pub fn first_disk(vmid: u16) -> String {
    format!("{DISK_STORAGE}/{vmid}/vm-{vmid}-disk-0.raw")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_address_lies_in_the_benchmark_range_and_belongs_to_one() {
        let mut addresses: Vec<String> = hosts().map(Host::address).collect();
        addresses.extend([CONTROLLER.to_owned(), PVE_ADDRESS.to_owned()]);
        assert!(addresses.iter().all(|address| address.starts_with("198.18.0.")));
        assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len());
    }

    #[test]
    fn pods_of_a_host_lie_in_the_range_of_all_pods_and_not_among_services() {
        for host in CONTROL_PLANES {
            assert!(host.number < 128, "services begin at 198.19.128.0");
            assert_eq!(host.pods(), Some(format!("198.19.{}.0/24", host.number)));
        }
        assert_eq!(LOAD_BALANCER.pods(), None);
    }

    #[test]
    fn names_fit_the_kernel() {
        assert!(hosts().all(|host| port(host.name).len() < 16));
        assert_eq!(host("cp2").unwrap().uuid().len(), 36);
        assert_eq!(host("cp9"), None);
    }
}

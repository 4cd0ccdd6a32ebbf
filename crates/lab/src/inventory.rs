//! The Ansible inventory of the lab: an example of one, and the one that demo and scenarios use.

use crate::plan::{self, CONTROL_PLANES, Host, LOAD_BALANCER};
use crate::{cluster, paths, pve};

/// Returns the inventory as YAML.
///
/// Secrets are in it, as they would be in a vault: the file is readable by root only and lasts as long as the lab.
pub fn yaml(pve_secret: &str) -> String {
    let control_planes: String = CONTROL_PLANES.iter().map(|host| control_plane(*host)).collect();
    let run = paths::RUN;
    format!(
        "all:
  vars:
    ansible_user: root
    ansible_ssh_private_key_file: {run}/id_ed25519
    ansible_ssh_common_args: >-
      -o UserKnownHostsFile={run}/known_hosts -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes
    pve_api_host: {pve}
    pve_api_port: {port}
    pve_api_user: {user}
    pve_api_token_id: {token}
    pve_api_token_secret: {pve_secret}
    pve_ca_path: {run}/pve/ca.pem
    pve_validate_certs: true
    pve_node: {node}
    pve_disk: scsi0
    pve_storage: {storage}
    pve_image: {import}:import/{image}
    control_plane_endpoint: {lb}:{api}
    kubeadm_ignore_preflight_errors: [{ignored}]
    haproxy_sockets:
      - /run/haproxy/admin.sock
    haproxy_backend: kube-apiserver
  children:
    control_plane:
      hosts:
{control_planes}    load_balancers:
      hosts:
        {name}:
          ansible_host: {lb}
",
        pve = plan::PVE_ADDRESS,
        port = plan::PVE_PORT,
        user = pve::USER,
        token = pve::TOKEN_ID,
        node = plan::PVE_NODE,
        storage = plan::DISK_STORAGE,
        import = plan::IMPORT_STORAGE,
        image = plan::IMPORT_IMAGE,
        lb = LOAD_BALANCER.address(),
        api = plan::API_PORT,
        ignored = cluster::IGNORED,
        name = LOAD_BALANCER.name,
    )
}

fn control_plane(host: Host) -> String {
    format!(
        "        {0}:
          ansible_host: {1}
          pve_vmid: {2}
          pve_name: {0}
          pve_uuid: {3}
          haproxy_server: {0}
",
        host.name,
        host.address(),
        host.vmid.unwrap_or_default(),
        host.uuid()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_has_both_groups_and_the_vms() {
        let yaml = yaml("secret");
        assert!(yaml.contains(
            "    control_plane:\n      hosts:\n        cp1:\n          ansible_host: 198.18.0.11\n"
        ));
        assert!(yaml.contains("          pve_vmid: 103\n          pve_name: cp3\n"));
        assert!(yaml.contains(
            "    load_balancers:\n      hosts:\n        lb:\n          ansible_host: 198.18.0.10\n"
        ));
        assert!(yaml.contains("    pve_image: local:import/control-plane.raw\n"));
    }
}

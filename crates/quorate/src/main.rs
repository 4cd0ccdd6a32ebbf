//! The multi-call program that the collection ships: every module, once per architecture.
//!
//! The module is the one that the request names (`_ansible_module_name`), else the one the program was called as. It reads the request
//! from the file that its first argument names, or from standard input (`-`, `/dev/stdin`). `--spec` prints every module's options and
//! returned values; the documentation and the controller's validation are made from that.

use ansible_module::Entry;

/// Every module of the collection.
const MODULES: &[Entry] = &[
    Entry::of::<control_plane_info::ControlPlaneInfo>(),
    Entry::of::<control_plane_lock::ControlPlaneLock>(),
    Entry::of::<etcd_info::EtcdInfo>(),
    Entry::of::<etcd_maintenance::EtcdMaintenance>(),
    Entry::of::<etcd_member::EtcdMember>(),
    Entry::of::<etcd_recover::EtcdRecover>(),
    Entry::of::<etcd_snapshot::EtcdSnapshot>(),
    Entry::of::<haproxy_pool::HaproxyPool>(),
    Entry::of::<k8s_node::K8sNode>(),
    Entry::of::<kubeadm_join::KubeadmJoin>(),
    Entry::of::<kubeadm_join_material::KubeadmJoinMaterial>(),
    Entry::of::<pve_disk_reimage::PveDiskReimage>(),
    Entry::of::<pve_guest::PveGuest>(),
];

fn main() {
    ansible_module::main(MODULES)
}

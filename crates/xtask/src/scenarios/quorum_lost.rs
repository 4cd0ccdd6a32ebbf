//! Two of three control planes are gone for good, and with them the quorum: the survivor is made the only voter (runbook D4).

use super::file;
use crate::{
    ansible::Ansible,
    replacement::members,
    run::{execute, run_reading, wait_until},
};
use anyhow::bail;
use std::time::Duration;

const SURVIVOR: &str = "cp1";
/// Through the survivor's own API server, which was set aside and came back.
const CONFIG_MAPS: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://198.18.0.11:6443 \
    --namespace kube-system get configmap kubeadm-config --output name";

pub fn run(ansible: &Ansible) -> anyhow::Result<()> {
    if !run_reading(&mut ansible.play(&file("quorum_lost.yml"))?, |_| ())? {
        bail!("the cluster was not recovered as expected");
    }
    let alone = members(ansible, SURVIVOR)?;
    if alone.lines().count() != 1 || !alone.contains(&format!(", {SURVIVOR}, ")) {
        bail!("expected {SURVIVOR} as the only member, etcdctl lists:\n{alone}");
    }
    wait_until("the survivor's API server answers", Duration::from_mins(3), || {
        Ok(ansible.on(SURVIVOR, CONFIG_MAPS).is_ok_and(|said| said.contains("kubeadm-config")))
    })?;
    // The others stay off, as they have to: whoever comes next gets another lab.
    execute(&mut ansible.lab(&["up"]))
}

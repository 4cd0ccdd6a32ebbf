//! What is refused, and changes nothing.

use super::file;
use crate::{
    ansible::Ansible,
    replacement::{Replacement, members},
    run::{execute, run_reading, wait_until},
    spec::field,
};
use anyhow::bail;
use serde_json::{Value, json};
use std::time::Duration;

/// Every call that would not be safe, one after the other, on a whole cluster.
pub fn unsafe_calls(ansible: &Ansible) -> anyhow::Result<()> {
    let before = members(ansible, "cp1")?;
    if !run_reading(&mut ansible.play(&file("refused.yml"))?, |_| ())? {
        bail!("a call was not refused as expected");
    }
    let after = members(ansible, "cp1")?;
    if before != after {
        bail!("the refusals changed the members from\n{before}to\n{after}");
    }
    Replacement { ansible, target: "cp2" }.has_finished()
}

/// The target runs behind a cut network, and its power cannot be proven to be off: nothing may be removed.
pub fn cut_off(ansible: &Ansible) -> anyhow::Result<()> {
    let before = members(ansible, "cp1")?;
    for host in ["cp2", "pve"] {
        execute(&mut ansible.lab(&["fault", "net", host]))?;
    }
    let replacement = Replacement { ansible, target: "cp2" };
    let refused = replacement.fails(&mut replacement.command(false)?);
    for host in ["cp2", "pve"] {
        execute(&mut ansible.lab(&["fault", "net", host, "--heal"]))?;
    }
    let said = refused?;
    if !said.contains("198.18.0.5") {
        bail!("the refusal does not name the Proxmox VE API that does not answer");
    }
    let after = members(ansible, "cp1")?;
    if before != after {
        bail!("the members changed from\n{before}to\n{after}");
    }
    wait_until("the target shows all evidence again", Duration::from_mins(2), || {
        let info = ansible.module("cp1", "etcd_info", &json!({}))?;
        let proven = field(&info, "members").as_array().is_some_and(|members| {
            members.iter().all(|member| *field(member, "proven") == json!(true))
        });
        Ok(proven)
    })?;
    // Its kubelet was cut off too, for longer than its lease on a slow machine, and reports again at its next turn.
    let ready = json!({"state": "ready", "name": "cp2", "timeout": "2m"});
    succeeds(&ansible.module("cp1", "k8s_node", &ready)?)?;
    // Nothing was begun: the operation is given up, and the node has to be whole without it.
    let abandon = json!({"state": "released", "abandon": true});
    succeeds(&ansible.module("cp1", "control_plane_lock", &abandon)?)?;
    replacement.has_finished()
}

fn succeeds(result: &Value) -> anyhow::Result<()> {
    if *field(result, "failed") == json!(true) {
        bail!("a module failed: {}", field(result, "msg"));
    }
    Ok(())
}

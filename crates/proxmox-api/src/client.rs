//! The calls.

use crate::{
    Access, Class, Error, Guest, Outcome, Size, TaskState, Upid, VmConfig,
    http::{Http, Reply, encode},
    json::{list, number, scalar, text},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// One client of one cluster. Blocking; one call at a time.
#[derive(Debug)]
pub struct Client {
    http: Http,
}

/// What `status/current` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VmStatus {
    /// `running` or `stopped`.
    pub status: String,
    /// QEMU's own word: `running`, `paused`, `prelaunch`, `stopped`.
    pub qmpstatus: String,
    /// The config lock.
    pub lock: Option<String>,
    /// State of the HA service, where HA manages the VM.
    pub ha: Option<String>,
    /// Whether it is a template.
    pub template: bool,
}

/// A change that waits for the next start or write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The key.
    pub key: String,
    /// Its next value; nothing when it is to go.
    pub value: Option<String>,
}

/// A volume of a storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Volume {
    /// `storage:name`.
    pub volid: String,
    /// Its size.
    pub size: Size,
}

/// A task that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRow {
    /// Its name.
    pub upid: Upid,
}

impl Client {
    /// Prepares a client; connects to nothing yet.
    pub fn new(access: &Access) -> Reply<Self> {
        Http::new(access).map(|http| Self { http })
    }

    // ------------------------------------------------------------ guests

    /// Every guest of the cluster that the token may see.
    pub fn guests(&self) -> Reply<Vec<Guest>> {
        let rows = self.http.get("/cluster/resources", &[("type", "vm")])?;
        Ok(list(&rows)
            .iter()
            .filter_map(|row| {
                Some(Guest {
                    vmid: number(row, "vmid")?,
                    name: text(row, "name").unwrap_or_default(),
                    node: text(row, "node")?,
                    kind: text(row, "type")?,
                })
            })
            .collect())
    }

    /// What the VM's node says about its power.
    pub fn status(&self, node: &str, vmid: u32) -> Reply<VmStatus> {
        let path = format!("{}/status/current", vm(node, vmid));
        let now = self.http.get(&path, &[])?;
        let status = text(&now, "status").ok_or_else(|| Error::Garbled {
            call: format!("GET {path}"),
            why: "no status in it".into(),
        })?;
        let ha = now.get("ha").filter(|ha| number::<u32>(ha, "managed") == Some(1));
        Ok(VmStatus {
            qmpstatus: text(&now, "qmpstatus").unwrap_or_else(|| status.clone()),
            status,
            lock: text(&now, "lock"),
            // Managed, and the manager has not noted a state yet: nothing that could be relied on.
            ha: ha.map(|ha| text(ha, "state").unwrap_or_else(|| "unknown".into())),
            template: number::<u32>(&now, "template") == Some(1),
        })
    }

    /// The config as it is, without what is pending.
    pub fn config(&self, node: &str, vmid: u32) -> Reply<VmConfig> {
        self.http
            .get(&format!("{}/config", vm(node, vmid)), &[("current", "1")])
            .map(|config| config_of(&config))
    }

    /// What waits for the next start or write.
    pub fn pending(&self, node: &str, vmid: u32) -> Reply<Vec<Pending>> {
        let rows = self.http.get(&format!("{}/pending", vm(node, vmid)), &[])?;
        Ok(list(&rows)
            .iter()
            .filter_map(|row| {
                let (key, value) = (text(row, "key")?, text(row, "pending"));
                (value.is_some() || number::<u32>(row, "delete").is_some_and(|delete| delete > 0))
                    .then_some(Pending { key, value })
            })
            .collect())
    }

    /// Names of the VM's snapshots.
    pub fn snapshots(&self, node: &str, vmid: u32) -> Reply<Vec<String>> {
        let rows = self.http.get(&format!("{}/snapshot", vm(node, vmid)), &[])?;
        Ok(list(&rows)
            .iter()
            .filter_map(|row| text(row, "name"))
            .filter(|name| name != "current")
            .collect())
    }

    /// The config that a snapshot keeps.
    pub fn snapshot_config(&self, node: &str, vmid: u32, name: &str) -> Reply<VmConfig> {
        self.http
            .get(&format!("{}/snapshot/{}/config", vm(node, vmid), encode(name)), &[])
            .map(|config| config_of(&config))
    }

    /// Volumes of one kind (`import`, `images`) on a storage.
    pub fn volumes(&self, node: &str, storage: &str, content: &str) -> Reply<Vec<Volume>> {
        let rows = self.http.get(
            &format!("/nodes/{}/storage/{}/content", encode(node), encode(storage)),
            &[("content", content)],
        )?;
        Ok(list(&rows)
            .iter()
            .filter_map(|row| {
                Some(Volume {
                    volid: text(row, "volid")?,
                    size: Size(number(row, "size").unwrap_or(0)),
                })
            })
            .collect())
    }

    // ------------------------------------------------------------- tasks

    /// Tasks of the VM that run. A token sees its own only, unless it has Sys.Audit on the node.
    pub fn running_tasks(&self, node: &str, vmid: u32) -> Reply<Vec<TaskRow>> {
        let vmid = vmid.to_string();
        let rows = self.http.get(
            &format!("/nodes/{}/tasks", encode(node)),
            &[("source", "active"), ("vmid", &vmid)],
        )?;
        // The list of active tasks holds those that have just ended, too: their status is no longer RUNNING.
        let running = |row: &&Value| text(row, "status").is_none_or(|status| status == "RUNNING");
        Ok(list(&rows)
            .iter()
            .filter(running)
            .filter_map(|row| Some(TaskRow { upid: text(row, "upid")?.parse().ok()? }))
            .collect())
    }

    /// Where a task stands.
    pub fn task(&self, upid: &Upid) -> Reply<TaskState> {
        match self.http.get(
            &format!("/nodes/{}/tasks/{}/status", encode(&upid.node), encode(&upid.to_string())),
            &[],
        ) {
            Ok(task) if text(&task, "status").as_deref() == Some("stopped") => {
                Ok(TaskState::Ended(Outcome::of(
                    &text(&task, "exitstatus").unwrap_or_else(|| "unexpected status".into()),
                )))
            }
            Ok(_) => Ok(TaskState::Running),
            Err(error) if error.class() == Class::Absent => Ok(TaskState::Unknown),
            Err(error) => Err(error),
        }
    }

    // ----------------------------------------------------------- changes

    /// Starts the VM; where HA manages it, asks HA to.
    pub fn start(&self, node: &str, vmid: u32) -> Reply<Option<Upid>> {
        self.http.change("POST", &format!("{}/status/start", vm(node, vmid)), &[])
    }

    /// Asks the guest to shut down within this many seconds; `force` then pulls the plug. Where HA manages the VM, HA is asked, and always forces.
    pub fn shutdown(
        &self,
        node: &str,
        vmid: u32,
        seconds: u64,
        force: bool,
    ) -> Reply<Option<Upid>> {
        let (seconds, force) = (seconds.to_string(), u8::from(force).to_string());
        self.http.change(
            "POST",
            &format!("{}/status/shutdown", vm(node, vmid)),
            &[("timeout", &seconds), ("forceStop", &force)],
        )
    }

    /// Pulls the plug. Where HA manages the VM, HA is asked to.
    pub fn stop(&self, node: &str, vmid: u32) -> Reply<Option<Upid>> {
        self.http.change("POST", &format!("{}/status/stop", vm(node, vmid)), &[])
    }

    /// Writes keys of the config, all or none of them; with a digest only if the config still has it. `delete` names keys that go.
    pub fn set_config(
        &self,
        node: &str,
        vmid: u32,
        digest: Option<&str>,
        keys: &[(&str, &str)],
    ) -> Reply<Option<Upid>> {
        let form: Vec<_> =
            keys.iter().copied().chain(digest.map(|digest| ("digest", digest))).collect();
        self.http.change("POST", &format!("{}/config", vm(node, vmid)), &form)
    }

    /// Extends a disk to this size.
    pub fn resize(
        &self,
        node: &str,
        vmid: u32,
        digest: &str,
        disk: &str,
        size: Size,
    ) -> Reply<Option<Upid>> {
        self.http.change(
            "PUT",
            &format!("{}/resize", vm(node, vmid)),
            &[("disk", disk), ("size", &size.to_string()), ("digest", digest)],
        )
    }
}

fn vm(node: &str, vmid: u32) -> String {
    format!("/nodes/{}/qemu/{vmid}", encode(node))
}

fn config_of(value: &Value) -> VmConfig {
    let mut keys: BTreeMap<String, String> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), scalar(value)?)))
        .collect();
    let digest = keys.remove("digest").unwrap_or_default();
    VmConfig { keys, digest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn configs_are_text() {
        let config =
            config_of(&json!({"digest": "abc", "onboot": 1, "memory": "2048", "snapshots": {}}));
        assert_eq!(
            (config.digest.as_str(), config.get("onboot"), config.get("memory"), config.keys.len()),
            ("abc", Some("1"), Some("2048"), 2)
        );
    }
}

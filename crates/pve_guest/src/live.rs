//! The doors to Proxmox VE.

use crate::{
    args::Wanted,
    state::{Observed, Power, Step, Switch, Vm},
};
use ansible_module::Applied;
use anyhow::{Context, anyhow};
use proxmox_api::{
    Class, Client, Error, Guest, Label, Outcome, TaskState, Upid, VmConfig, VmStatus,
};
use std::{sync::Arc, time::Duration};

/// Until a request that met a lock is sent again.
const AGAIN: Duration = Duration::from_secs(2);

/// Speaks to one API, and remembers what this run has asked for.
pub struct Guests {
    client: Arc<Client>,
    asked: Option<Asked>,
}

/// A request of this run.
struct Asked {
    switch: Option<Switch>,
    upid: Option<Upid>,
    failure: Option<String>,
}

impl Guests {
    /// Connects to nothing yet.
    pub fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let client = Client::new(&wanted.access).context("prepare the Proxmox VE client")?;
        Ok(Self { client: Arc::new(client), asked: None })
    }

    /// A call, off the runtime's thread: a blocking one would swallow SIGTERM.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Client) -> Result<T, Error> + Send + 'static,
    ) -> anyhow::Result<Result<T, Error>> {
        let client = Arc::clone(&self.client);
        tokio::task::spawn_blocking(move || call(&client))
            .await
            .map_err(|error| anyhow!("call the Proxmox VE API: {error}"))
    }

    /// Reads the guests that are meant, and the machine where there is one.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let all = self.call(Client::guests).await?.context("list the guests")?;
        let meant = |guest: &&Guest| match wanted.vmid {
            Some(vmid) => guest.vmid == vmid,
            None => wanted.name.as_ref() == Some(&guest.name),
        };
        let rows: Vec<_> = all.iter().filter(meant).cloned().collect();
        let vm = match rows.as_slice() {
            [row] if row.kind == "qemu" => Some(self.read(row.clone()).await?),
            _ => None,
        };
        Ok(Observed { matches: rows, vm })
    }

    async fn read(&mut self, row: Guest) -> anyhow::Result<Vm> {
        let (node, vmid) = (row.node.clone(), row.vmid);
        // The power last: a task that has ended by then shows in it.
        let read = self.call(move |client| {
            let tasks = client.running_tasks(&node, vmid)?;
            let config = client.config(&node, vmid)?;
            Ok((tasks, config, client.status(&node, vmid)?))
        });
        let (tasks, config, status) =
            read.await?.with_context(|| format!("read VM {vmid} on node {:?}", row.node))?;
        let (ours, switching, failure) = self.our_request().await?;
        let foreign = tasks.into_iter().find(|task| Some(&task.upid) != ours.as_ref());
        let mut vm = vm_of(row, &config, &status);
        vm.task = foreign.map(|task| task.upid.kind);
        (vm.switching, vm.failure) = (switching, failure);
        Ok(vm)
    }

    /// What became of the last request: its task when it was to switch the power, the direction, the failure.
    async fn our_request(&self) -> anyhow::Result<(Option<Upid>, Option<Switch>, Option<String>)> {
        let Some(asked) = &self.asked else { return Ok((None, None, None)) };
        let ours = asked.upid.clone().filter(|_| asked.switch.is_some());
        let Some(upid) = asked.upid.clone() else {
            return Ok((ours, asked.switch, asked.failure.clone()));
        };
        let state = self
            .call(move |client| client.task(&upid))
            .await?
            .context("read the task that was started")?;
        Ok(match state {
            TaskState::Ended(Outcome::Failed(why)) => (ours, None, Some(why)),
            TaskState::Running | TaskState::Ended(_) => (ours, asked.switch, None),
            // The node forgot it: only the power can tell.
            TaskState::Unknown => (None, None, None),
        })
    }

    /// Sends a step.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        let vm = observed.vm.as_ref().context("find the machine that was planned for")?;
        let (node, vmid, asked) = (vm.node.clone(), vm.label.vmid, step.clone());
        let sent = self.call(move |client| send(client, &asked, &node, vmid)).await?;
        let switch = direction(step);
        match sent {
            Ok(upid) => self.asked = Some(Asked { switch, upid, failure: None }),
            Err(error) => match error.class() {
                Class::Busy | Class::Locked | Class::Digest => {
                    return Ok(Applied::Again(AGAIN, error.to_string()));
                }
                Class::Unknown => return Err(error).with_context(|| step.to_string()),
                // It was not carried out, and will not be: the next plan says so.
                Class::Absent | Class::Denied | Class::Other => {
                    self.asked =
                        Some(Asked { switch: None, upid: None, failure: Some(error.to_string()) });
                }
            },
        }
        Ok(Applied::Sent)
    }
}

/// The one request that a step is. Start and shutdown of a machine that HA manages are handed to the HA stack by the API itself, for no more
/// rights than VM.PowerMgmt.
fn send(client: &Client, step: &Step, node: &str, vmid: u32) -> Result<Option<Upid>, Error> {
    match step {
        Step::Start(_) | Step::AskHa(_, Switch::On, _) => client.start(node, vmid),
        Step::Shutdown(_, seconds, force) => client.shutdown(node, vmid, *seconds, *force),
        Step::AskHa(_, Switch::Off, seconds) => client.shutdown(node, vmid, *seconds, true),
        Step::Stop(_) => client.stop(node, vmid),
        Step::SetOnboot(_, on) => {
            client.set_config(node, vmid, None, &[("onboot", if *on { "1" } else { "0" })])
        }
        Step::AwaitTask(..)
        | Step::AwaitLock(..)
        | Step::AwaitHa(..)
        | Step::AwaitOn(_)
        | Step::AwaitOff(_) => Ok(None),
    }
}

fn direction(step: &Step) -> Option<Switch> {
    match step {
        Step::Start(_) | Step::AskHa(_, Switch::On, _) => Some(Switch::On),
        Step::Shutdown(..) | Step::Stop(_) | Step::AskHa(_, Switch::Off, _) => Some(Switch::Off),
        _ => None,
    }
}

fn vm_of(row: Guest, config: &VmConfig, status: &VmStatus) -> Vm {
    let power = match (status.status.as_str(), status.qmpstatus.as_str()) {
        ("stopped", _) => Power::Stopped,
        (_, "paused" | "suspended") => Power::Paused,
        // Whatever else it says, it is not off.
        _ => Power::Running,
    };
    let name = config.get("name").map_or(row.name, str::to_owned);
    Vm {
        label: Label { vmid: row.vmid, name },
        node: row.node,
        power,
        lock: status.lock.clone().or_else(|| config.get("lock").map(str::to_owned)),
        ha: status.ha.clone(),
        template: status.template || config.is_set("template"),
        onboot: config.is_set("onboot"),
        smbios_uuid: config.smbios().map(|smbios| smbios.uuid),
        disks: config.disks().into_iter().map(|(key, drive)| (key, drive.volume)).collect(),
        task: None,
        switching: None,
        failure: None,
    }
}

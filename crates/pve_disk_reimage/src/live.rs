//! The doors to Proxmox VE.

use crate::{
    args::{State, Wanted},
    state::{Observed, Step, Vm},
};
use ansible_module::Applied;
use anyhow::{Context, anyhow};
use proxmox_api::{Class, Client, Error, Guest, Label, Outcome, TaskState, Upid, VmConfig};
use std::{sync::Arc, time::Duration};

/// Until a request that met a lock or a newer config is sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// Speaks to one API, and remembers what this run has asked for.
pub struct Disks {
    client: Arc<Client>,
    asked: Option<Asked>,
}

/// What became of the last request.
enum Asked {
    Task(Upid),
    Failed(String),
}

/// What an observation needs of the arguments, for the thread that reads.
struct Look {
    disk: String,
    condemned: String,
    image: Option<String>,
    committing: bool,
}

impl Disks {
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

    /// Reads the machine, its disk and what the decision needs around it.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let (disk, condemned, vmid) = (wanted.disk.clone(), wanted.condemned.clone(), wanted.vmid);
        let guests = self.call(Client::guests).await?.context("list the guests")?;
        let row = guests.into_iter().find(|guest| guest.vmid == vmid && guest.kind == "qemu");
        let Some(row) = row else { return Ok(Observed { disk, condemned, vm: None }) };
        let look = Look {
            disk: disk.clone(),
            condemned: condemned.clone(),
            image: wanted.image.clone(),
            committing: wanted.state == State::Committed,
        };
        let mut vm = self
            .call(move |client| read(client, &row, &look))
            .await?
            .with_context(|| format!("read VM {vmid}"))?;
        vm.failure = self.failure().await?;
        Ok(Observed { disk, condemned, vm: Some(vm) })
    }

    async fn failure(&self) -> anyhow::Result<Option<String>> {
        match &self.asked {
            None => Ok(None),
            Some(Asked::Failed(why)) => Ok(Some(why.clone())),
            Some(Asked::Task(upid)) => {
                let upid = upid.clone();
                let state = self
                    .call(move |client| client.task(&upid))
                    .await?
                    .context("read the task that was started")?;
                Ok(match state {
                    TaskState::Ended(Outcome::Failed(why)) => Some(why),
                    // A task that the node forgot is judged by the config.
                    TaskState::Ended(_) | TaskState::Running | TaskState::Unknown => None,
                })
            }
        }
    }

    /// Sends a step, to the machine and the version of its config that the plan was made from.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        let vm = observed.vm.clone().context("find the machine that was planned for")?;
        let asked = step.clone();
        let sent = match self.call(move |client| send(client, &asked, &vm)).await? {
            Ok(sent) => sent,
            Err(error) => match error.class() {
                Class::Digest | Class::Busy | Class::Locked => {
                    return Ok(Applied::Again(AGAIN, error.to_string()));
                }
                Class::Unknown => return Err(error).with_context(|| step.to_string()),
                // It was not carried out, and will not be: the next plan says so.
                Class::Absent | Class::Denied | Class::Other => {
                    Some(Asked::Failed(error.to_string()))
                }
            },
        };
        if let Some(sent) = sent {
            self.asked = Some(sent);
        }
        Ok(Applied::Sent)
    }
}

/// The one request that a step is. Each carries the digest of the observation: Proxmox VE refuses it when anything has changed since, so that what was
/// checked (name, UUID, volume) is what is changed.
fn send(client: &Client, step: &Step, vm: &Vm) -> Result<Option<Asked>, Error> {
    let (node, vmid, digest) = (vm.node.as_str(), vm.label.vmid, vm.digest.as_str());
    let differs = |what: &str| {
        Ok(Some(Asked::Failed(format!("{what} of {} is no longer what was planned for", vm.label))))
    };
    let upid = match step {
        Step::AwaitTask(..) | Step::AwaitLock(..) => None,
        Step::Swap { vm: label, record, storage } => {
            let Some(drive) = vm
                .drive(&record.disk)
                .filter(|drive| drive.volume == record.condemned && *label == vm.label)
            else {
                return differs(&record.disk);
            };
            let fresh = drive.imported(storage, &record.image).to_string();
            let keys = [
                (record.disk.as_str(), fresh.as_str()),
                ("description", &record.write_into(&vm.description)),
            ];
            client.set_config(node, vmid, Some(digest), &keys)?
        }
        Step::Resize { vm: label, record } => {
            if vm.replaced(&record.disk, &record.condemned).as_ref() != Some(record)
                || *label != vm.label
            {
                return differs(&record.disk);
            }
            client.resize(node, vmid, digest, &record.disk, record.size)?
        }
        Step::Remove { vm: label, condemned } => {
            let Some((key, _)) =
                vm.unused.iter().find(|(_, volume)| *volume == condemned && *label == vm.label)
            else {
                return differs("unused disk");
            };
            client.set_config(node, vmid, Some(digest), &[("delete", key)])?
        }
    };
    Ok(upid.map(Asked::Task))
}

fn read(client: &Client, row: &Guest, look: &Look) -> Result<Vm, Error> {
    let (node, vmid) = (row.node.as_str(), row.vmid);
    // Tasks first, power and config last: what a task does before it ends then shows in them.
    let task = client.running_tasks(node, vmid)?.into_iter().next().map(|task| task.upid.kind);
    let pending = client.pending(node, vmid)?.into_iter().map(|pending| pending.key).collect();
    let image = match &look.image {
        Some(image) if !look.committing => size_on(client, node, image)?,
        _ => None,
    };
    let condemned = match size_on(client, node, &look.condemned) {
        // The storage of a broken disk may be broken, too: then the config's note of the size has to do.
        Err(_) if !look.committing => None,
        size => size?,
    };
    let status = client.status(node, vmid)?;
    let config = client.config(node, vmid)?;
    let mut vm = vm_of(row, &config);
    vm.pins = pins(client, row, &vm, look)?;
    (vm.task, vm.pending, vm.image, vm.condemned) = (task, pending, image, condemned);
    vm.stopped = status.status == "stopped" && status.qmpstatus == "stopped";
    vm.lock = status.lock.or(vm.lock);
    vm.ha = status.ha;
    vm.template |= status.template;
    Ok(vm)
}

/// The size of a volume, if its storage lists it.
fn size_on(client: &Client, node: &str, volume: &str) -> Result<Option<u64>, Error> {
    let (storage, name) = volume.split_once(':').unwrap_or_default();
    let content = if name.starts_with("import/") { "import" } else { "images" };
    let all = client.volumes(node, storage, content)?;
    Ok(all.into_iter().find(|listed| listed.volid == volume).map(|listed| listed.size.0))
}

/// Snapshots that hold the disk as it is or the condemned volume.
fn pins(client: &Client, row: &Guest, vm: &Vm, look: &Look) -> Result<Vec<String>, Error> {
    let now = vm.drive(&look.disk).map(|drive| drive.volume);
    let mut pins = vec![];
    for name in client.snapshots(&row.node, row.vmid)? {
        let kept = client.snapshot_config(&row.node, row.vmid, &name)?;
        let holds = |volume: &str| {
            volume == look.condemned || (!look.committing && Some(volume) == now.as_deref())
        };
        if kept.disks().values().any(|drive| holds(&drive.volume)) {
            pins.push(name);
        }
    }
    Ok(pins)
}

fn vm_of(row: &Guest, config: &VmConfig) -> Vm {
    Vm {
        label: Label { vmid: row.vmid, name: config.get("name").unwrap_or_default().to_owned() },
        node: row.node.clone(),
        stopped: false,
        lock: config.get("lock").map(str::to_owned),
        ha: None,
        template: config.is_set("template"),
        protected: config.is_set("protection"),
        smbios_uuid: config.smbios().map(|smbios| smbios.uuid),
        digest: config.digest.clone(),
        disks: config.disks().into_iter().map(|(key, drive)| (key, drive.to_string())).collect(),
        unused: config.unused(),
        boot: config.get("boot").map(str::to_owned),
        description: config.get("description").unwrap_or_default().to_owned(),
        pending: vec![],
        pins: vec![],
        image: None,
        condemned: None,
        task: None,
        failure: None,
    }
}

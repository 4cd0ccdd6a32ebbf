//! What a user may write, and what it means.
#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are Ansible's documentation, in its own markup"
)]

use ansible_module::{BadArgs, Options, Seconds, Secret, Until, options::groups::ApiOptions};
use proxmox_api::{Access, Given, is_drive_key};
use std::{time::Duration, time::SystemTime};

/// Replaces a disk of a stopped Proxmox VE machine by a fresh copy of an image, and keeps the old one until that is committed.
///
/// The old volume is detached and kept as an unused disk. The new one takes its place with all its options, the boot order stays as it is, and the new disk
/// is extended to the size of the old one.
///
/// The machine is named three times over, by id, name and UUID (or the digest of its configuration), and the disk by its volume. When one of them does not
/// fit, nothing is done.
///
/// What was replaced is noted in the machine's description, in the very request that replaces it. A run that was interrupted anywhere is simply run again.
///
/// To go back before V(committed): stop the machine, C(qm set 102 --scsi0 <old volume>,<options>), start it.
#[derive(Options)]
#[options(required_one_of = "smbios_uuid|digest", required_if = "state=reimaged:image")]
pub struct Args {
    /// Name of the API token. It needs VM.Audit, VM.Config.Disk and VM.Config.Options on the machine, and Datastore.AllocateSpace and Datastore.Audit on
    /// the storages of the disk and of the image.
    ///
    /// Without it the environment variable E(PROXMOX_TOKEN_ID) is used.
    #[option(include, documents = "api_token_id")]
    pub api: ApiOptions,
    /// Node the machine is on. It is found when it is not given, and must agree when it is.
    pub node: Option<String>,
    /// Id of the machine.
    pub vmid: u32,
    /// Name of the machine.
    pub name: String,
    /// UUID of the machine, as M(quorate.controlplane.pve_guest) returns it.
    pub smbios_uuid: Option<String>,
    /// Digest of the machine's configuration when it was looked at last, for machines without a UUID. Compared only until the disk has been replaced.
    pub digest: Option<String>,
    /// The disk.
    #[option(default = "scsi0")]
    pub disk: String,
    /// Volume that is to be replaced, as M(quorate.controlplane.pve_guest) returns it in RV(quorate.controlplane.pve_guest#module:disks).
    ///
    /// It tells the old disk from the new one: a machine whose O(disk) is another volume by now, and whose description says that it replaced this one, is
    /// not touched again.
    pub condemned: String,
    /// Image to copy, a volume of the content type C(import) such as C(local:import/control-plane.qcow2).
    pub image: Option<String>,
    /// Storage of the new volume. That of the old one when it is not given.
    pub storage: Option<String>,
    /// What the disk shall be.
    #[option(default = "reimaged")]
    pub state: State,
    /// How long the copy may take.
    #[option(default = "15m")]
    pub timeout: Seconds,
    /// How long locks of the machine are waited for.
    #[option(default = "10m")]
    pub lock_timeout: Seconds,
    /// Until when the run may count on the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holds_until).
    ///
    /// When it is given, each change is only made before that time, by the clock of the host the task runs on.
    pub lock_until: Option<Until>,
}

/// What a disk can be.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// O(disk) is a fresh copy of O(image). The volume O(condemned) is kept as an unused disk.
    Reimaged,
    /// O(disk) has replaced O(condemned), and that is removed for good. There is no way back from here.
    Committed,
}

/// The arguments after validation.
pub struct Wanted {
    /// The API.
    pub access: Access,
    /// The node it has to be on.
    pub node: Option<String>,
    /// Id of the machine.
    pub vmid: u32,
    /// Name of the machine.
    pub name: String,
    /// Its UUID, in lower case.
    pub smbios_uuid: Option<String>,
    /// Digest of its configuration.
    pub digest: Option<String>,
    /// Key of the disk.
    pub disk: String,
    /// The volume that goes.
    pub condemned: String,
    /// What is copied.
    pub image: Option<String>,
    /// Where to.
    pub storage: String,
    /// What the disk shall be.
    pub state: State,
    /// For the copy.
    pub timeout: Duration,
    /// For locks.
    pub lock_timeout: Duration,
    /// No change is made after that.
    pub lock_until: Option<Until>,
}

/// Validates.
pub fn wanted(args: Args, _started: SystemTime) -> Result<Wanted, BadArgs> {
    let api = args.api;
    let given = Given {
        host: api.api_host,
        port: api.api_port,
        user: api.api_user,
        token_id: api.api_token_id,
        token_secret: api.api_token_secret.map(|secret| secret.expose().to_owned()),
        ca: api.ca_path,
        verify: api.validate_certs,
    };
    let access = given.resolve(|name| std::env::var(name).ok()).map_err(BadArgs::new)?;
    // One that came from the environment must not leave the program either.
    _ = Secret::new(access.token_secret.as_str());
    if !is_drive_key(&args.disk) || ["efidisk0", "tpmstate0"].contains(&args.disk.as_str()) {
        return Err(BadArgs::new(format!(
            "disk is {:?}, expected one such as scsi0, virtio0, sata0",
            args.disk
        )));
    }
    let old = storage_of("condemned", &args.condemned)?;
    if let Some(image) = &args.image {
        storage_of("image", image)?;
        if *image == args.condemned {
            return Err(BadArgs::new(format!("image and condemned are both {image:?}")));
        }
    }
    Ok(Wanted {
        access,
        node: args.node,
        vmid: args.vmid,
        name: args.name,
        smbios_uuid: args.smbios_uuid.map(|uuid| uuid.to_lowercase()),
        digest: args.digest,
        disk: args.disk,
        storage: args.storage.unwrap_or(old),
        condemned: args.condemned,
        image: args.image,
        state: args.state,
        timeout: args.timeout.0,
        lock_timeout: args.lock_timeout.0,
        lock_until: args.lock_until,
    })
}

/// The storage of `storage:name`. White space and commas would end the value in a config or in the description.
fn storage_of(option: &str, volume: &str) -> Result<String, BadArgs> {
    let plain =
        !volume.contains(|letter: char| letter.is_whitespace() || letter == ',' || letter == '=');
    match volume.split_once(':') {
        Some((storage, name))
            if plain && !storage.is_empty() && !name.is_empty() && !storage.contains('/') =>
        {
            Ok(storage.to_owned())
        }
        _ => Err(BadArgs::new(format!(
            "{option} is {volume:?}, expected a volume such as local-lvm:vm-102-disk-0"
        ))),
    }
}

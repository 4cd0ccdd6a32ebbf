//! What a user may write, and what it means.
#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are Ansible's documentation, in its own markup"
)]

use ansible_module::{BadArgs, Options, Seconds, Secret, Until, options::groups::ApiOptions};
use proxmox_api::{Access, Given};
use std::{time::Duration, time::SystemTime};

/// Switches a Proxmox VE virtual machine on or off, and proves it.
///
/// A machine counts as stopped when its node says so and no task is about to start it again, never because a task ended well.
///
/// Locks (backup, migration) and running tasks of the machine are waited out. Where the HA stack manages the machine, the HA stack is asked, and the
/// machine counts as stopped only when the HA state says so, too: otherwise it would be started again.
#[derive(Options)]
#[options(required_one_of = "vmid|name")]
pub struct Args {
    /// Name of the API token. It needs VM.Audit and VM.PowerMgmt on the machine, and VM.Config.Options for O(onboot).
    ///
    /// Without it the environment variable E(PROXMOX_TOKEN_ID) is used.
    #[option(include, documents = "api_token_id")]
    pub api: ApiOptions,
    /// Node the machine is on. It is found when it is not given, and must agree when it is.
    pub node: Option<String>,
    /// Id of the machine.
    pub vmid: Option<u32>,
    /// Name of the machine. With O(vmid) too, both must belong to the same machine.
    pub name: Option<String>,
    /// What the machine shall be.
    #[option(default = "current")]
    pub state: State,
    /// Whether a machine that has not shut down within O(timeout) is powered off.
    ///
    /// With O(timeout=0) it is powered off at once. The HA stack always does so.
    #[option(default = "no")]
    pub force: bool,
    /// How long the guest may take to shut down, and to be seen running after a start.
    #[option(default = "60")]
    pub timeout: Seconds,
    /// How long locks and tasks of others are waited for.
    #[option(default = "10m")]
    pub lock_timeout: Seconds,
    /// Whether the machine starts when its node boots. Left as it is when not given.
    ///
    /// Set before the power is switched, so that a machine that has to stay off cannot come back with its node.
    pub onboot: Option<bool>,
    /// Until when the run may count on the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holds_until).
    ///
    /// When it is given, each change is only made before that time, by the clock of the host the task runs on.
    pub lock_until: Option<Until>,
}

/// What a machine can be.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The machine is left as it is. What is known about it is returned.
    Current,
    /// The machine runs.
    Started,
    /// The machine is off. The guest is asked to shut down; see O(force).
    Stopped,
}

/// The arguments after validation.
pub struct Wanted {
    /// The API.
    pub access: Access,
    /// The node it has to be on.
    pub node: Option<String>,
    /// Its id.
    pub vmid: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// What it shall be.
    pub state: State,
    /// Whether the plug may be pulled.
    pub force: bool,
    /// For the guest.
    pub timeout: Duration,
    /// For others.
    pub lock_timeout: Duration,
    /// Whether it starts with its node.
    pub onboot: Option<bool>,
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
    if args.vmid.is_some_and(|vmid| vmid < 100) {
        return Err(BadArgs::new("vmid is below 100; Proxmox VE begins with 100"));
    }
    Ok(Wanted {
        access,
        node: args.node,
        vmid: args.vmid,
        name: args.name,
        state: args.state,
        force: args.force,
        timeout: args.timeout.0,
        lock_timeout: args.lock_timeout.0,
        onboot: args.onboot,
        lock_until: args.lock_until,
    })
}

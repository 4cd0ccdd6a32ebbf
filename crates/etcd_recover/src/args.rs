//! What a user may write, and what it means.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use crate::state::Survey;
use ansible_module::{BadArgs, Json, Options, Seconds, options::groups::EtcdOptions};
use serde_json::Map;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// Recovers an etcd cluster that has lost its quorum from the survivor that holds most.
///
/// Three states, in this order. V(surveyed) on every host that is left reads what the log of its member holds and changes nothing. V(fenced) on all hosts but the chosen one
/// stops the member for good and sets its data aside. V(recovered) on the chosen one makes it the only voter, on its own data.
///
/// Nothing here is automatic: a recovery names the cluster and the node in O(confirm), all other members must be proven stopped for good, and a survivor
/// that holds less than another is refused. Old voters that start again on their old data hold the old quorum, and would be a second cluster of the same name.
///
/// The log is read as etcd reads it, checksums included; the times of files mean nothing. Every entry that the survivor holds is kept, also those that it did not
/// know to be committed yet, which C(etcd --force-new-cluster) alone would throw away.
///
/// For plain etcd and kubeadm. Data directory and certificates are copied to O(backup_dir) first.
#[derive(Options, Debug)]
#[options(
    required_if = "state=recovered:confirm",
    required_if = "state=fenced:confirm",
    required_by = "snapshot:peer_url"
)]
pub struct Args {
    /// What is wanted.
    #[option(default = "surveyed")]
    pub state: State,
    /// Name of the member on this host, its C(--name). Default: the name of the host.
    pub name: Option<String>,
    /// Data directory of the member, its C(--data-dir).
    #[option(default = "/var/lib/etcd")]
    pub data_dir: PathBuf,
    /// The id of the cluster as V(surveyed) shows it, a space, and the name of the member on this host: who writes that knows which one is kept or given up.
    pub confirm: Option<String>,
    /// RV(survey) of every other host that could be surveyed. A survivor is chosen only against all of them.
    pub surveys: Vec<Map<String, Json>>,
    /// Names of members whose hosts are proven to be powered off and will not start by themselves.
    pub others_stopped: Vec<String>,
    /// Recover from this survivor although another holds more. What only the other holds is lost.
    #[option(default = "false")]
    pub accept_older: bool,
    /// The static manifest of etcd. Where it is, or was before it was set aside, the kubelet starts and stops the member.
    #[option(default = "/etc/kubernetes/manifests/etcd.yaml")]
    pub manifest: PathBuf,
    /// The systemd unit that runs the member, without kubeadm. When neither is there, the member is left stopped in the end.
    pub unit: Option<String>,
    /// Program of etcd, of the version that wrote the data. It runs once, reachable by nobody.
    ///
    /// With kubeadm it is only in the image: C(ctr --namespace k8s.io images mount <image> <directory>) shows it as C(<directory>/usr/local/bin/etcd).
    #[option(default = "etcd")]
    pub etcd: PathBuf,
    /// Restore this snapshot on this host, instead of its own data: where no survivor is left, or none that is whole. Members of the restored cluster have other ids.
    ///
    /// What was written after the snapshot is lost. The file must have been verified (M(quorate.controlplane.etcd_snapshot)).
    pub snapshot: Option<PathBuf>,
    /// Program C(etcdutl) of the version of etcd, for O(snapshot).
    #[option(default = "etcdutl")]
    pub etcdutl: PathBuf,
    /// Peer URL of the member on this host, for O(snapshot).
    pub peer_url: Option<String>,
    /// How far the revision of a restored snapshot is raised, and all before marked as compacted: watchers of the lost time must not see revisions go back.
    #[option(default = "1000000000")]
    pub bump_revision: u64,
    /// Where data and certificates are copied to before anything is changed, and where manifests are set aside.
    #[option(default = "/var/lib/quorate/etcd-recover")]
    pub backup_dir: PathBuf,
    /// Directories of certificates and keys to copy. What is not there is left out.
    #[option(default = "/etc/kubernetes/pki,/etc/etcd")]
    pub pki: Vec<PathBuf>,
    /// Client URLs of this member, to see whether it serves.
    #[option(include, documents = "endpoints")]
    pub etcd_access: EtcdOptions,
    /// How long the whole may take.
    #[option(default = "30m")]
    pub timeout: Seconds,
}

/// What can be wanted.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// What the member on this host holds is known. Nothing is changed.
    Surveyed,
    /// The member on this host is stopped, will not start by itself, and its data is set aside in C(member.fenced).
    Fenced,
    /// The member on this host is the only voter.
    Recovered,
}

/// What to restore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restore {
    /// The snapshot.
    pub snapshot: PathBuf,
    /// The program.
    pub etcdutl: PathBuf,
    /// Where peers will reach the member.
    pub peer_url: String,
    /// How far the revision is raised.
    pub bump: u64,
}

/// The arguments after validation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What is wanted.
    pub state: State,
    /// The member's name.
    pub name: Option<String>,
    /// Its data.
    pub data_dir: PathBuf,
    /// Cluster and node, as the user wrote them.
    pub confirm: String,
    /// What others hold.
    pub surveys: Vec<Survey>,
    /// Who is proven to be off.
    pub stopped: BTreeSet<String>,
    /// The user's word for an older survivor.
    pub accept_older: bool,
    /// The static manifest.
    pub manifest: PathBuf,
    /// The unit.
    pub unit: Option<String>,
    /// The program.
    pub etcd: PathBuf,
    /// What to restore, instead of the data.
    pub restore: Option<Restore>,
    /// Copies, and manifests set aside.
    pub backup_dir: PathBuf,
    /// Certificates.
    pub pki: Vec<PathBuf>,
    /// Where it serves.
    pub endpoints: Vec<String>,
    /// Authority, certificate and key.
    pub files: [Option<PathBuf>; 3],
    /// For the whole run.
    pub timeout: Duration,
}

/// Validates.
pub fn wanted(args: Args) -> Result<Wanted, BadArgs> {
    let absolute = |option: &str, path: &Path| {
        let sentence =
            || BadArgs::new(format!("{option} must be an absolute path, got {}", path.display()));
        path.is_absolute().then_some(()).ok_or_else(sentence)
    };
    absolute("data_dir", &args.data_dir)?;
    absolute("backup_dir", &args.backup_dir)?;
    absolute("manifest", &args.manifest)?;
    if args.backup_dir.starts_with(&args.data_dir) {
        return Err(BadArgs::new(format!(
            "backup_dir {} lies in the data directory, which is what is backed up",
            args.backup_dir.display()
        )));
    }
    let restore = match (args.snapshot, args.peer_url) {
        (Some(snapshot), Some(peer_url)) => {
            absolute("snapshot", &snapshot)?;
            Some(Restore { snapshot, etcdutl: args.etcdutl, peer_url, bump: args.bump_revision })
        }
        _ => None,
    };
    let (endpoints, files) = args.etcd_access.checked()?;
    let survey = |(at, map): (usize, Map<String, Json>)| {
        serde_json::from_value(Json::Object(map)).map_err(|error| {
            BadArgs::new(format!(
                "surveys[{at}] is not what this module returns as survey: {error}"
            ))
        })
    };
    Ok(Wanted {
        state: args.state,
        name: args.name.filter(|name| !name.trim().is_empty()),
        data_dir: args.data_dir,
        confirm: args.confirm.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        surveys: args.surveys.into_iter().enumerate().map(survey).collect::<Result<_, _>>()?,
        stopped: args.others_stopped.into_iter().collect(),
        accept_older: args.accept_older,
        manifest: args.manifest,
        unit: args.unit.filter(|unit| !unit.trim().is_empty()),
        etcd: args.etcd,
        restore,
        backup_dir: args.backup_dir,
        pki: args.pki,
        endpoints,
        files,
        timeout: args.timeout.0,
    })
}

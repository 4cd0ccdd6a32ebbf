//! What is observed, what is shown of it, and what a step does to it.

use std::fmt;

use ansible_module::Returns;
use etcd_cluster::{MemberId, Reading};
use serde::{Deserialize, Serialize};

use crate::name;

/// Holds one reading of the cluster and of the directory.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observed {
    /// The cluster; none for a file that is only verified.
    pub cluster: Option<Reading>,
    /// Where files lie.
    pub dest: String,
    /// Files with our names for this cluster.
    pub files: Vec<File>,
    /// What interrupted runs left: files under names of ours that cannot be snapshots.
    pub remains: Vec<String>,
    /// Bytes free for files in the directory, or in the one it will be made in.
    pub free: Option<u64>,
    /// Others than its owner may replace files in the directory.
    pub exposed: bool,
    /// The file to verify.
    pub checked: Option<Checked>,
    /// This run has saved one.
    pub saved: bool,
}

/// Holds what is known of a file with one of our names.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name in the directory; empty for one that is only planned.
    pub name: String,
    /// When it was begun, in milliseconds since 1970.
    pub taken_at: i64,
    /// Whether it is whole. A file whose answer no decision needs is not read.
    #[serde(default)]
    pub validity: Validity,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// SHA-256 of all of them.
    #[serde(default)]
    pub sha256: String,
    /// What lies beside it.
    #[serde(default)]
    pub about: Option<About>,
}

/// Says whether a file is a whole snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// Read to its end.
    Valid,
    /// Read, and why it is not.
    Invalid(String),
    /// Not read.
    #[default]
    Unread,
}

/// Holds what is written beside each snapshot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Whose data it is.
    pub cluster_id: MemberId,
    /// Where it was taken.
    pub member_id: MemberId,
    /// The name of that member.
    pub member: String,
    /// Its version of etcd.
    pub etcd_version: String,
    /// The revision of the member right before: the snapshot has at least this one.
    pub revision: i64,
    /// The revision of the member right after: it has at most this one.
    pub revision_at_most: i64,
    /// When it was begun, RFC 3339.
    pub taken_at: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
    /// All members as they were listed then: a restore makes new ones.
    pub members: Vec<Listed>,
    /// The hash of its keys that the member agreed on with another voter, where that was compared.
    pub hashkv: Option<HashKv>,
    /// k3s: what tells the server tokens apart that encrypt the bootstrap data in it, each the first 12 digits of the token's SHA-256.
    /// k3s has them as names of keys, so that no token is read here; a restore needs the token itself.
    pub k3s_token_fingerprints: Vec<String>,
}

/// Holds one member as it was listed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Listed {
    /// Its id.
    pub id: MemberId,
    /// Its name.
    pub name: String,
    /// Whether it had no vote.
    pub learner: bool,
    /// Where the others reached it.
    pub peer_urls: Vec<String>,
    /// Its version, where it answered.
    pub version: String,
}

/// Holds a comparable hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HashKv {
    /// Of all keys up to here.
    pub revision: i64,
    /// After this compaction.
    pub compact_revision: i64,
    /// CRC-32.
    pub hash: u32,
}

/// Holds the outcome of verifying one file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Where it is.
    pub path: String,
    /// What was found; `path` alone when there is no such file.
    #[serde(default)]
    pub file: Option<File>,
}

/// Names one change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Remove what interrupted runs left.
    Clean,
    /// Take a snapshot.
    Save(MemberId),
    /// Delete one of our own.
    Delete(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("remove what an interrupted run left"),
            Self::Save(cluster) => write!(f, "save a snapshot of cluster {cluster}"),
            Self::Delete(name) => write!(f, "delete the older snapshot {name}"),
        }
    }
}

/// The state expected after a step.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut observed = observed.clone();
    match step {
        Step::Clean => observed.remains.clear(),
        Step::Save(_) => {
            let newest = observed.files.iter().map(|file| file.taken_at).max().unwrap_or_default();
            observed.files.push(File {
                taken_at: newest + 1,
                validity: Validity::Valid,
                ..File::default()
            });
            observed.saved = true;
        }
        Step::Delete(name) => observed.files.retain(|file| file.name != *name),
    }
    observed
}

/// What is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct View {
    /// The newest snapshot of this cluster, or the file that was verified. Not known in check mode when one would be taken.
    pub path: Option<String>,
    /// SHA-256 of the whole file, as C(sha256sum) shows it.
    pub sha256: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// When it was begun, RFC 3339.
    pub taken_at: Option<String>,
    /// Id of the cluster, hexadecimal.
    pub cluster_id: Option<String>,
    /// Id of the member it was taken from, hexadecimal.
    pub member_id: Option<String>,
    /// The same as a decimal number.
    pub member_id_dec: Option<String>,
    /// Name of that member.
    pub member: Option<String>,
    /// Its version of etcd.
    pub etcd_version: Option<String>,
    /// The snapshot holds at least this revision.
    pub revision: Option<i64>,
    /// The snapshot holds at most this revision.
    pub revision_at_most: Option<i64>,
    /// Names of all snapshots of this cluster in the directory that are not known to be invalid, the newest first.
    pub snapshots: Vec<String>,
    /// What is known of each file in the directory with a name of this module: of this cluster, or with O(state=listed) and O(state=pruned) of every one.
    pub files: Vec<ViewFile>,
}

/// One file.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewFile {
    /// Its name.
    pub name: String,
    /// V(valid) when it was read to its end and is whole, V(unread) when it was not read, else why it is not.
    pub validity: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was begun, RFC 3339.
    pub taken_at: String,
    /// Id of its cluster, hexadecimal.
    pub cluster_id: String,
    /// Name of the member it was taken from.
    pub member: Option<String>,
    /// Version of etcd of that member.
    pub etcd_version: Option<String>,
    /// It holds at least this revision.
    pub revision: Option<i64>,
    /// Names of the members then.
    pub members: Vec<String>,
    /// Fingerprints of the server tokens of k3s, the first 12 hexadecimal digits of their SHA-256.
    pub k3s_token_fingerprints: Vec<String>,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    if let Some(checked) = &observed.checked {
        let file = checked.file.clone().unwrap_or_default();
        return shown(Some(checked.path.clone()), &file, vec![]);
    }
    let all = observed.newest_first();
    let names = all
        .iter()
        .map(|file| if file.name.is_empty() { "(a new one)".to_owned() } else { file.name.clone() })
        .collect();
    let newest = all.iter().find(|file| file.is_valid());
    let path = newest
        .filter(|file| !file.name.is_empty())
        .map(|file| format!("{}/{}", observed.dest.trim_end_matches('/'), file.name));
    let cluster = observed.cluster.as_ref().map(|reading| reading.cluster_id.to_string());
    let view = newest
        .map_or_else(|| shown(None, &File::default(), vec![]), |file| shown(path, file, vec![]));
    let there = observed.files.iter().filter(|file| !file.name.is_empty());
    let files = there.map(file_view).collect();
    View { cluster_id: cluster.or(view.cluster_id), snapshots: names, files, ..view }
}

fn file_view(file: &File) -> ViewFile {
    let about = file.about.as_ref();
    let cluster = name::read(&file.name).map(|(cluster, _)| cluster.to_string());
    ViewFile {
        name: file.name.clone(),
        validity: match &file.validity {
            Validity::Valid => "valid".to_owned(),
            Validity::Unread => "unread".to_owned(),
            Validity::Invalid(why) => why.clone(),
        },
        size: file.size,
        taken_at: name::show(file.taken_at),
        cluster_id: cluster.unwrap_or_default(),
        member: about.map(|about| about.member.clone()),
        etcd_version: about.map(|about| about.etcd_version.clone()),
        revision: about.map(|about| about.revision),
        members: about.iter().flat_map(|a| a.members.iter().map(|m| m.name.clone())).collect(),
        k3s_token_fingerprints: about.map(|a| a.k3s_token_fingerprints.clone()).unwrap_or_default(),
    }
}

fn shown(path: Option<String>, file: &File, snapshots: Vec<String>) -> View {
    let known = file.is_valid() && !file.name.is_empty();
    let about = file.about.as_ref().filter(|_| known);
    View {
        path,
        sha256: known.then(|| file.sha256.clone()),
        size: known.then_some(file.size),
        taken_at: (known && file.taken_at > 0).then(|| name::show(file.taken_at)),
        cluster_id: about.map(|about| about.cluster_id.to_string()),
        member_id: about.map(|about| about.member_id.to_string()),
        member_id_dec: about.map(|about| about.member_id.decimal()),
        member: about.map(|about| about.member.clone()),
        etcd_version: about.map(|about| about.etcd_version.clone()),
        revision: about.map(|about| about.revision),
        revision_at_most: about.map(|about| about.revision_at_most),
        snapshots,
        files: vec![],
    }
}

impl File {
    /// Read to its end, and whole.
    pub fn is_valid(&self) -> bool {
        self.validity == Validity::Valid
    }
}

impl Observed {
    /// Our files that are not known to be invalid.
    pub fn newest_first(&self) -> Vec<&File> {
        let mut files: Vec<&File> = self
            .files
            .iter()
            .filter(|file| !matches!(file.validity, Validity::Invalid(_)))
            .collect();
        files.sort_by(|a, b| (b.taken_at, &b.name).cmp(&(a.taken_at, &a.name)));
        files
    }
}

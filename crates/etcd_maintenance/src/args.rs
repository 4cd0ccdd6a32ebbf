//! What a user may write, and what it means.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use ansible_module::{
    BadArgs, Bytes, Json, Options, Seconds,
    options::{
        At, Value,
        groups::{EtcdOptions, LockOptions},
    },
};
use kube_cluster::Fence;
use serde_json::Map;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Compacts and defragments an etcd cluster, one member at a time, and disarms alarms that no longer apply.
///
/// Run it on any host that reaches the client URLs of all members.
///
/// Each step is taken only where it helps: a member is defragmented when enough of its file is free, and an alarm is disarmed when its cause is gone.
///
/// A member that is being defragmented serves nothing. So members take turns, the smallest follower first and the leader last, after it has handed over;
/// in between every member must have been proven healthy for five seconds. With a learner, a lagging or a broken member, or an etcd whose
/// defragmentation is known to corrupt data, nothing is begun. The first anomaly ends the run.
///
/// Meanwhile a linearizable read through another member is tried every 50 ms; the longest time that none came through is returned.
#[derive(Options, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[options(mutually_exclusive = "compact_revision|compact_age")]
pub struct Args {
    /// Compact the history up to this revision first. Older revisions of keys can no longer be read or watched from.
    pub compact_revision: Option<i64>,
    /// Compact what is older than this first. The age of a revision is told by the leases that Kubernetes renews, so it needs Kubernetes.
    ///
    /// History that is a tenth (at least a minute) older than this is tolerated, so that a second run has nothing to do.
    pub compact_age: Option<Seconds>,
    /// Where the keys of Kubernetes lie, for O(compact_age).
    #[option(default = "/registry")]
    pub kubernetes_prefix: String,
    /// Defragment the members for which it helps.
    #[option(default = "true")]
    pub defragment: bool,
    /// The part of the database file that must be free for a defragmentation to be worth its stall.
    ///
    /// Under NOSPACE a member is defragmented as well when that alone brings it below its quota.
    #[option(default = "0.3")]
    pub when_fragmented: f64,
    /// Smaller files are left alone, unless they take up more than 60 percent of the quota.
    #[option(default = "100M")]
    pub min_size: Bytes,
    /// Disarm NOSPACE when the database of every member is below 90 percent of its quota, and alarms of members that are listed no more.
    #[option(default = "true")]
    pub disarm: bool,
    /// The quota of a member that does not tell it, as before etcd 3.6.
    #[option(default = "2G")]
    pub quota: Bytes,
    /// Free bytes of the file system that holds the data, by the name of the member. Defragmenting writes a copy of what is in use beside the old file.
    ///
    /// For a member on this host it is measured, in O(data_dir).
    pub free_disk: Map<String, Json>,
    /// Data directory of the member on this host.
    #[option(default = "/var/lib/etcd")]
    pub data_dir: PathBuf,
    /// Defragment a member although nobody knows whether its disk has room for the copy. etcd gives up where it has none, and goes on with the old file.
    #[option(default = "false")]
    pub allow_unknown_disk: bool,
    /// Defragment one of one or two voters, which stops every read and write meanwhile.
    #[option(default = "false")]
    pub allow_downtime: bool,
    /// Defragment etcd before 3.5.23 and 3.6.0 to 3.6.4, where a snapshot that arrives meanwhile corrupts the data.
    #[option(default = "false")]
    pub allow_affected_version: bool,
    /// The fence.
    #[option(include)]
    pub lock: LockOptions,
    /// How to reach etcd.
    #[option(include)]
    pub etcd: EtcdOptions,
    /// How long the whole may take.
    #[option(default = "1h")]
    pub timeout: Seconds,
}

/// How far the history is to be compacted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compact {
    /// To this revision.
    Revision(i64),
    /// What is older.
    Age(Duration),
}

/// The arguments after validation.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Wanted {
    /// How far to compact.
    pub compact: Option<Compact>,
    /// Where Kubernetes keeps its keys.
    pub prefix: String,
    /// Whether to defragment.
    pub defragment: bool,
    /// From which part of free pages on.
    pub when_fragmented: f64,
    /// From which size on.
    pub min_size: i64,
    /// Whether to disarm.
    pub disarm: bool,
    /// The quota where a member tells none.
    pub quota: i64,
    /// Free bytes by the name of the member.
    pub free_disk: BTreeMap<String, u64>,
    /// Where the data of the member on this host lies.
    pub data_dir: PathBuf,
    /// Begin where the room is not known.
    pub unknown_disk: bool,
    /// Begin with one or two voters.
    pub downtime: bool,
    /// Begin with an affected etcd.
    pub affected_version: bool,
    /// The lock to hold.
    pub fence: Option<Fence>,
    /// Where to ask.
    pub endpoints: Vec<String>,
    /// Authority, certificate and key.
    pub files: [Option<PathBuf>; 3],
    /// For the whole run.
    pub timeout: Duration,
}

/// Validates.
pub fn wanted(args: Args) -> Result<Wanted, BadArgs> {
    let (endpoints, files) = args.etcd.checked()?;
    if !(args.when_fragmented > 0.0 && args.when_fragmented < 1.0) {
        return Err(BadArgs::new(format!(
            "when_fragmented is a part of the file between 0 and 1, such as 0.3, got {}",
            args.when_fragmented
        )));
    }
    if let Some(revision) = args.compact_revision.filter(|revision| *revision < 2) {
        return Err(BadArgs::new(format!(
            "compact_revision must be at least 2, got {revision}: a new cluster begins at revision 1"
        )));
    }
    let by_age = args.compact_age.map(|age| Compact::Age(age.0));
    let signed = |size: Bytes| i64::try_from(size.0).unwrap_or(i64::MAX);
    Ok(Wanted {
        compact: args.compact_revision.map(Compact::Revision).or(by_age),
        prefix: args.kubernetes_prefix.trim_end_matches('/').to_owned(),
        defragment: args.defragment,
        when_fragmented: args.when_fragmented,
        min_size: signed(args.min_size),
        disarm: args.disarm,
        quota: signed(args.quota).max(1),
        free_disk: free_disk(&args.free_disk)?,
        data_dir: args.data_dir,
        unknown_disk: args.allow_unknown_disk,
        downtime: args.allow_downtime,
        affected_version: args.allow_affected_version,
        fence: args.lock.holder().map(|(kubeconfig, holder)| Fence::new(kubeconfig, holder)),
        endpoints,
        files,
        timeout: args.timeout.0,
    })
}

fn free_disk(map: &Map<String, Json>) -> Result<BTreeMap<String, u64>, BadArgs> {
    let one = |(name, size): (&String, &Json)| {
        let size = Bytes::decode(&At::ROOT, size).map_err(|_| {
            BadArgs::new(format!(
                "free_disk of {name:?} is no size: expected bytes, or a form such as 512M or 32G, got {size}"
            ))
        })?;
        Ok((name.clone(), size.0))
    };
    map.iter().map(one).collect()
}

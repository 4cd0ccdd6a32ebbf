//! What a user may write, and what it means.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ansible_module::{BadArgs, Options, Seconds, options::groups::EtcdOptions};

use crate::name;

/// Saves a verified snapshot of an etcd cluster, verifies one, lists and prunes them.
///
/// Takes it from one proven follower near the leader, verifies the hash at its end while it streams, and gives the file its name only
/// when all of it is on the disk. A file that is there under its name is whole.
///
/// Beside each file lies C(<name>.json): whose data it is, the members and their versions, the revision, the hashes, and for k3s the fingerprint of
/// the server token that a restore of it needs.
///
/// A snapshot holds every Secret of the cluster in clear; files have mode C(0600).
#[derive(Options, Debug)]
pub struct Args {
    /// How to reach etcd.
    #[option(include)]
    pub etcd: EtcdOptions,
    /// What shall be.
    #[option(default = "present")]
    pub state: State,
    /// Directory for the snapshots, with O(state=present). It is made with mode C(0700) where it is missing.
    #[option(default = "/var/backups/etcd")]
    pub dest: PathBuf,
    /// File to verify, with O(state=verified).
    pub path: Option<PathBuf>,
    /// No snapshot is taken while the newest valid one of this cluster in O(dest) is younger than this.
    pub max_age: Option<Seconds>,
    /// No snapshot is taken when the newest valid one of this cluster in O(dest) was taken after this moment: RFC 3339, or seconds since 1970.
    ///
    /// Given together with O(max_age), both must hold. Given neither, every run takes one.
    pub newer_than: Option<String>,
    /// How many snapshots of this cluster to keep in O(dest). All when it is not given. With O(state=pruned), of each cluster.
    ///
    /// Only valid files with this module's names are counted, and deleted, after the new one is there.
    pub keep: Option<u32>,
    /// Whether O(state=listed) reads every file to its end; without it only names, sizes and what lies beside the files are read.
    #[option(default = "no")]
    pub verify: bool,
    /// File or directory on the controller that the snapshot is brought to, over the task's own connection, verified by its SHA-256.
    ///
    /// What lies there with the same content is left alone. The collection does this, after the program on the target has ended.
    pub fetch_to: Option<String>,
    /// Whether the member's keys must hash to the same as another voter's before its snapshot counts. It walks all keys of every member once.
    #[option(default = "yes")]
    pub compare_hashes: bool,
    /// How long the whole may take.
    #[option(default = "10m")]
    pub timeout: Seconds,
}

/// States.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There is a snapshot that is young enough.
    Present,
    /// The file O(path) is a whole snapshot. No cluster is asked.
    Verified,
    /// RV(files) tells what is in O(dest), of every cluster. No cluster is asked, and nothing is changed.
    Listed,
    /// Of each cluster no more than O(keep) valid snapshots are in O(dest). No cluster is asked.
    Pruned,
}

/// The arguments after validation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where the cluster is.
    pub cluster: Endpoints,
    /// What shall be.
    pub goal: Goal,
    /// For the whole.
    pub timeout: Duration,
}

/// Where the cluster is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoints {
    /// Client URLs.
    pub urls: Vec<String>,
    /// Authority, certificate, key; none is looked for in the known layouts.
    pub files: [Option<PathBuf>; 3],
}

/// What shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Goal {
    /// A file is whole.
    Verified(PathBuf),
    /// A directory has a young snapshot.
    Present(Present),
    /// A directory is read.
    Listed(PathBuf, bool),
    /// A directory has no more than so many of each cluster.
    Pruned(PathBuf, usize),
}

/// A directory has a young snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Present {
    /// The directory.
    pub dest: PathBuf,
    /// Milliseconds since 1970: a snapshot taken before is too old.
    pub since: i64,
    /// One that says it was taken after this was not: somebody's clock was wrong.
    pub until: i64,
    /// How many stay.
    pub keep: Option<usize>,
    /// Whether hashes must agree.
    pub compare_hashes: bool,
}

/// Clocks of two hosts may differ by this much.
const SKEW: i64 = 60_000;

/// Validates.
pub fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
    let started = name::millis(started);
    let timeout = args.timeout.0;
    let (urls, files) = args.etcd.checked()?;
    let absolute = |option: &str, path: &Path| {
        let sentence =
            || BadArgs::new(format!("{option} must be an absolute path, got {}", path.display()));
        path.is_absolute().then_some(()).ok_or_else(sentence)
    };
    let goal = match (args.state, args.path) {
        (State::Verified, Some(path)) => {
            absolute("path", &path)?;
            Goal::Verified(path)
        }
        (State::Verified, None) => {
            return Err(BadArgs::new(
                "state is verified but all of the following are missing: path",
            ));
        }
        (state, Some(path)) => {
            let state = format!("{state:?}").to_lowercase();
            return Err(BadArgs::new(format!(
                "path is for state verified, got {} with state {state}; use dest",
                path.display()
            )));
        }
        (State::Listed, None) => {
            absolute("dest", &args.dest)?;
            Goal::Listed(args.dest, args.verify)
        }
        (State::Pruned, None) => {
            absolute("dest", &args.dest)?;
            let keep = args.keep.filter(|keep| *keep > 0).ok_or_else(|| {
                BadArgs::new(
                    "state is pruned but all of the following are missing: keep, at least 1",
                )
            })?;
            Goal::Pruned(args.dest, usize::try_from(keep).unwrap_or(usize::MAX))
        }
        (State::Present, None) => {
            absolute("dest", &args.dest)?;
            if args.keep == Some(0) {
                return Err(BadArgs::new("keep must be at least 1: the snapshot just taken stays"));
            }
            Goal::Present(Present {
                dest: args.dest,
                since: since(args.max_age, args.newer_than.as_deref(), started)?,
                until: started + millis(timeout) + SKEW,
                keep: args.keep.map(|keep| usize::try_from(keep).unwrap_or(usize::MAX)),
                compare_hashes: args.compare_hashes,
            })
        }
    };
    Ok(Wanted { cluster: Endpoints { urls, files }, goal, timeout })
}

/// Never after the start of the run: the snapshot it takes is young enough, whatever the clock says that `newer_than` was read from.
fn since(max_age: Option<Seconds>, newer_than: Option<&str>, started: i64) -> Result<i64, BadArgs> {
    let given = |text| {
        name::parse(text).ok_or_else(|| {
            BadArgs::new(format!(
                "newer_than must be RFC 3339 with an offset, or seconds since 1970, got \"{text}\""
            ))
        })
    };
    let moment = newer_than.map(given).transpose()?;
    let age = max_age.map(|age| started.saturating_sub(millis(age.0)));
    Ok(age.max(moment).unwrap_or(started).min(started))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

//! The operations: what makes each possible, how our program is asked for it, and the state that it must end in.

use crate::{
    arguments::Arguments,
    cluster::{Cluster, PATIENCE},
    program::Call,
    schedule::Operation,
};
use anyhow::{Context, bail, ensure};
use etcd_client::{CompactionOptions, DeleteOptions};
use serde_json::{Map, Value, json};
use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// MiB that are written and deleted, so that there is something to win.
const BULK: usize = 24;
/// Files below this are left alone; what the clients write meanwhile is less.
const SMALL: i64 = 12 << 20;

/// What an operation is about.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Which one.
    pub operation: Operation,
    /// The member it is about; of an operation on the whole cluster, any.
    pub target: usize,
    /// The revision up to which history is compacted.
    revision: i64,
    /// Where snapshots go.
    pub dest: PathBuf,
}

/// Brings the cluster to where the operation makes sense.
pub async fn prepare(cluster: &mut Cluster, operation: Operation) -> anyhow::Result<Goal> {
    let leader = cluster.leader().await?;
    let follower = (leader + 1) % cluster.members.len();
    let dest = cluster.scratch().join("snapshots");
    let mut goal = Goal { operation, target: follower, revision: 0, dest };
    match operation {
        Operation::RemoveLeader => goal.target = leader,
        Operation::RemoveDead => {
            cluster.members.get_mut(follower).context("there is no follower")?.kill();
        }
        Operation::AddVoter => goal.target = cluster.add_learner().await?,
        Operation::Maintain => goal.revision = fragment(cluster).await?,
        Operation::RemoveFollower
        | Operation::MoveLeader
        | Operation::Snapshot
        | Operation::Restore => {}
    }
    Ok(goal)
}

/// Fills the database and deletes most of it again; the revision of that.
async fn fragment(cluster: &Cluster) -> anyhow::Result<i64> {
    let mut client = cluster.client(0).await?;
    let value = vec![7_u8; 512 << 10];
    for at in 0..BULK * 2 {
        client.put(format!("bulk/{at:03}"), value.clone(), None).await?;
    }
    let all = DeleteOptions::new().with_prefix();
    let deleted = client.delete("bulk/", Some(all)).await?;
    let revision = deleted.header().context("etcd told no revision")?.revision();
    // a part of it only: the rest is for the operation
    let part = CompactionOptions::new().with_physical();
    client.compact(revision - 4, Some(part)).await?;
    Ok(revision)
}

impl Goal {
    /// The call of our program.
    pub fn call(&self, cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<Call> {
        let member = cluster.members.get(self.target).context("there is no such member")?;
        let (module, own) = match self.operation {
            Operation::RemoveFollower | Operation::RemoveLeader => {
                ("etcd_member", json!({"state": "absent", "name": member.name}))
            }
            Operation::RemoveDead => (
                "etcd_member",
                json!({"state": "absent", "name": member.name, "target_stopped": true}),
            ),
            Operation::AddVoter => (
                "etcd_member",
                json!({"state": "voter", "name": member.name, "force": true, "peer_address": member.peer_url()}),
            ),
            Operation::MoveLeader => ("etcd_member", json!({"leader": member.name})),
            Operation::Maintain => (
                "etcd_maintenance",
                json!({"compact_revision": self.revision, "min_size": SMALL, "allow_unknown_disk": true}),
            ),
            Operation::Snapshot | Operation::Restore => {
                ("etcd_snapshot", json!({"dest": self.dest, "max_age": "1h"}))
            }
        };
        let mut all = with_access(cluster, &cluster.urls());
        all.extend(own.as_object().cloned().unwrap_or_default());
        all.insert("timeout".into(), 60.into());
        Ok(Call::new(&arguments.quorate, module, all, &cluster.scratch()))
    }

    /// Who must be listed in the end, with a vote.
    pub fn voters(&self, cluster: &Cluster) -> Vec<usize> {
        let removed = self.operation.removes();
        (0..cluster.members.len()).filter(|at| !removed || *at != self.target).collect()
    }

    /// Holds the state that the operation ended in against the one that was asked for, without our program.
    pub async fn reached(&self, cluster: &Cluster, file: Option<&str>) -> anyhow::Result<()> {
        let (listed, voters) = (cluster.listed().await?, self.voters(cluster));
        ensure!(
            listed.iter().all(|(_, learner)| !learner)
                && listed.iter().map(|(at, _)| *at).eq(voters.iter().copied()),
            "the voters are to be {voters:?}, and listed are (with learner or not) {listed:?}"
        );
        match self.operation {
            Operation::Maintain => self.maintained(cluster, &voters).await,
            Operation::Snapshot | Operation::Restore => {
                whole(cluster, file.context("the reply names no snapshot")?)
            }
            _ => Ok(()),
        }
    }

    /// Every file has shrunk, and the history before the revision is gone.
    async fn maintained(&self, cluster: &Cluster, voters: &[usize]) -> anyhow::Result<()> {
        for at in voters {
            let mut client = cluster.client(*at).await?;
            let size = client.status().await?.db_size();
            ensure!(
                size < SMALL,
                "the file of member {at} has {size} bytes after the defragmentation"
            );
            let past = etcd_client::GetOptions::new().with_revision(self.revision - 1);
            let read = client.get("bulk/", Some(past)).await;
            let compacted =
                read.as_ref().is_err_and(|error| error.to_string().contains("compacted"));
            ensure!(compacted, "revision {} can still be read: {read:?}", self.revision - 1);
        }
        Ok(())
    }
}

/// Endpoints and certificates, as every module of etcd takes them.
pub fn with_access(cluster: &Cluster, urls: &[String]) -> Map<String, Value> {
    let [ca, cert, key] = cluster.files();
    let all = json!({"endpoints": urls, "ca_cert": ca, "client_cert": cert, "client_key": key});
    all.as_object().cloned().unwrap_or_default()
}

/// Whether etcd's own tool takes the file for a whole snapshot.
fn whole(cluster: &Cluster, file: &str) -> anyhow::Result<()> {
    let mut status = Command::new(&cluster.programs.etcdutl);
    let status = status.args(["snapshot", "status", file]).output()?;
    if !status.status.success() {
        bail!("etcdutl takes {file} for no snapshot: {}", String::from_utf8_lossy(&status.stderr));
    }
    Ok(())
}

/// Waits until the leader is that one: an election may be under way.
pub async fn leads(cluster: &Cluster, target: usize) -> anyhow::Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        match cluster.leader_by(target).await {
            Some(leader) => return Ok(leader == target),
            None if Instant::now() > until => bail!("member {target} knows no leader"),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

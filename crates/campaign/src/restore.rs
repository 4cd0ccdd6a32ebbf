//! The second half of a restore: every member is gone, and the snapshot becomes a new cluster.

use crate::{
    arguments::Arguments,
    clients::Acknowledged,
    cluster::Cluster,
    judge, operation,
    program::{Call, Ended},
    report::Came,
    round::finish,
    schedule::Round,
};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;

/// Revisions of the restored cluster are beyond all that were seen.
const BUMP: i64 = 1_000_000_000;

/// Kills everybody, restores on the first host while our program is killed, and holds the new cluster against what the snapshot must have.
pub async fn play(
    cluster: &mut Cluster,
    round: &Round,
    arguments: &Arguments,
    file: &str,
    before: &[Acknowledged],
    came: &mut Came,
) -> anyhow::Result<()> {
    for member in &mut cluster.members {
        member.kill();
    }
    let survey = match call(cluster, arguments, json!({}))?.run(None).await?.ended {
        Ended::Done { reply, .. } => {
            reply.get("survey").cloned().context("no survey in the reply")?
        }
        other => bail!("failed to survey the first host: {other:?}"),
    };
    let word = |key: &str| survey.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let others: Vec<&str> = cluster.members.iter().skip(1).map(|m| m.name.as_str()).collect();
    let first = cluster.members.first().context("there is no member")?;
    let recover = json!({
        "state": "recovered", "confirm": format!("{} {}", word("cluster_id"), word("name")),
        "others_stopped": others, "snapshot": file, "peer_url": first.peer_url(),
    });
    let recover = call(cluster, arguments, recover)?;
    if let Some(moment) = round.kill_ms {
        came.ran(&recover.run(Some(Duration::from_millis(moment * 2))).await?);
    }
    came.finished = false;
    finish(&recover, came).await.context("restore")?;
    cluster.restart(0, &[0])?;
    cluster.all_serve(&[0]).await?;
    let third = recover.run(None).await?;
    came.ran(&third);
    if !matches!(third.ended, Ended::Done { changed: false, .. }) {
        came.problems.push(format!("a restore after the last one was no quiet one: {third:?}"));
    }
    let listed = cluster.listed().await?;
    ensure!(listed == [(0, false)], "the restored cluster lists {listed:?}");
    came.lost(&judge::lost(cluster, &[0], before).await?);
    let put = cluster.client(0).await?.put("campaign/restored", "x", None).await?;
    let revision = put.header().context("etcd told no revision")?.revision();
    ensure!(revision > BUMP, "revisions of the restored cluster go back to {revision}");
    Ok(())
}

fn call(cluster: &Cluster, arguments: &Arguments, more: Value) -> anyhow::Result<Call> {
    let first = cluster.members.first().context("there is no member")?;
    let host = cluster.scratch().join("host");
    let own = json!({
        "name": first.name, "data_dir": first.data_dir(), "backup_dir": host.join("backup"),
        "pki": [cluster.pki_dir()], "manifest": host.join("manifests/etcd.yaml"),
        "etcd": cluster.programs.etcd, "etcdutl": cluster.programs.etcdutl, "timeout": 60,
    });
    let mut all = operation::with_access(cluster, &[first.url()]);
    for map in [own, more] {
        all.extend(map.as_object().cloned().unwrap_or_default());
    }
    Ok(Call::new(&arguments.quorate, "etcd_recover", all, &cluster.scratch()))
}

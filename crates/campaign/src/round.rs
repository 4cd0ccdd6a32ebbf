//! One round, from the cluster's start to the judgement.

use crate::{
    arguments::Arguments,
    clients::Clients,
    cluster::{Cluster, PATIENCE, Programs},
    fault, judge,
    judge::Verdict,
    operation::{self, Goal, leads},
    program::{Call, Ended},
    report::Came,
    restore,
    schedule::{Fault, Operation, Round, Version},
};
use anyhow::{Context, bail, ensure};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tokio::task::LocalSet;

/// How long our program may take to get done once nothing is wrong any more; single runs are shorter.
const TO_FINISH: Duration = Duration::from_mins(3);
/// So many writes before anything happens.
const AT_WORK: usize = 30;

/// Plays a round in a lane. What came of it is in `came`, also when it ends early.
pub async fn play(
    lane: u8,
    round: &Round,
    arguments: &Arguments,
    came: &mut Came,
) -> anyhow::Result<()> {
    let programs = programs(round.version)?;
    let clock = (round.fault == Fault::Clock)
        .then(|| {
            let at = usize::try_from(round.at_ms).unwrap_or_default() % round.size;
            anyhow::Ok((at, round.ahead_s, artefacts::etcd_other_clock_of(round.version.line())?))
        })
        .transpose()?;
    let all = async {
        let mut cluster = Cluster::start(lane, round.size, programs, clock).await?;
        let ended = within(&mut cluster, round, arguments, came).await;
        if ended.is_err() || !came.problems.is_empty() {
            keep(
                &cluster,
                &arguments.out.join(format!("round-{}-{}", arguments.seed, round.number)),
            )?;
        }
        ended
    };
    Box::pin(LocalSet::new().run_until(all)).await
}

fn programs(version: Version) -> anyhow::Result<Programs> {
    let line = version.line();
    Ok(Programs { etcd: artefacts::etcd_of(line)?, etcdutl: artefacts::etcdutl_of(line)? })
}

async fn within(
    cluster: &mut Cluster,
    round: &Round,
    arguments: &Arguments,
    came: &mut Came,
) -> anyhow::Result<()> {
    let goal = operation::prepare(cluster, round.operation).await.context("failed to prepare")?;
    let dead = (round.operation == Operation::RemoveDead).then_some(goal.target);
    let clients = Clients::start(cluster.access()?, cluster.urls());
    let until = Instant::now() + PATIENCE;
    while clients.written() < AT_WORK && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let call = goal.call(cluster, arguments)?;
    let began = Instant::now();
    under_the_fault(cluster, round, &goal, &call, came).await?;
    fault::revive(cluster, dead).await.context("after the fault")?;
    let reply = finish(&call, came).await?;
    let file = reply.get("path").and_then(serde_json::Value::as_str).map(str::to_owned);
    reached(cluster, &goal, file.as_deref(), came).await;
    third(cluster, &goal, &call, came).await?;
    let serving = fault::revive(cluster, dead).await.context("in the end")?;
    ensure!(serving == goal.voters(cluster), "{serving:?} serve in the end");
    came.serves = true;
    let (acknowledged, history) = clients.end().await?;
    came.acknowledged = acknowledged.len();
    came.registers = history.len();
    let lost = judge::lost(cluster, &serving, &acknowledged).await?;
    came.lost(&lost);
    let verdict = judge::linearizable(&history, &cluster.scratch())?;
    if verdict != Verdict::Linearizable {
        came.problems.push(format!("the history of the registers is {verdict:?}"));
    }
    came.verdict = Some(verdict);
    if round.operation == Operation::Restore {
        let before: Vec<_> = acknowledged.into_iter().filter(|one| one.at < began).collect();
        let file = file.context("the reply names no snapshot")?;
        restore::play(cluster, round, arguments, &file, &before, came).await?;
    }
    Ok(())
}

/// The first run while the fault comes, and a second one where the first was killed and the fault is still there.
async fn under_the_fault(
    cluster: &mut Cluster,
    round: &Round,
    goal: &Goal,
    call: &Call,
    came: &mut Came,
) -> anyhow::Result<()> {
    let kill = round.kill_ms.map(Duration::from_millis);
    let run = async {
        tokio::time::sleep(fault::lead()).await;
        call.run(kill).await
    };
    let (made, first) = tokio::join!(fault::strike(cluster, round, goal), run);
    let (made, first) = (made?, first?);
    let killed = first.ended == Ended::Killed;
    came.ran(&first);
    if let Some(made) = made {
        if killed {
            came.ran(&call.run(Some(PATIENCE)).await?);
        }
        made.heal(cluster)?;
    }
    Ok(())
}

/// Runs it again until it is done.
pub async fn finish(call: &Call, came: &mut Came) -> anyhow::Result<serde_json::Value> {
    let until = Instant::now() + TO_FINISH;
    loop {
        let run = call.run(None).await?;
        came.ran(&run);
        if let Ended::Done { reply, .. } = run.ended {
            came.finished = true;
            return Ok(reply);
        }
        if Instant::now() > until {
            bail!("not done after {} s without a fault: {:?}", TO_FINISH.as_secs(), run.ended);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn reached(cluster: &Cluster, goal: &Goal, file: Option<&str>, came: &mut Came) {
    if let Err(error) = goal.reached(cluster, file).await {
        came.problems.push(format!("it ended in another state: {error:#}"));
    }
}

/// One more run changes nothing. Of leadership that holds only while nobody else is elected: then it is tried once more.
async fn third(cluster: &Cluster, goal: &Goal, call: &Call, came: &mut Came) -> anyhow::Result<()> {
    for _ in 0..3 {
        let led = goal.operation != Operation::MoveLeader || leads(cluster, goal.target).await?;
        let run = call.run(None).await?;
        came.ran(&run);
        match run.ended {
            Ended::Done { changed: false, .. } => return Ok(()),
            Ended::Done { .. } if !led => {}
            other => {
                came.problems.push(format!("a run after the last one was no quiet one: {other:?}"));
                return Ok(());
            }
        }
    }
    came.problems.push("leadership moved each time that it had been moved".into());
    Ok(())
}

/// Keeps what tells why a round failed.
fn keep(cluster: &Cluster, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(cluster.scratch())?.flatten() {
        let ends = entry.path().extension().map(|end| end.to_string_lossy().into_owned());
        if ["log", "json", "html"].contains(&ends.unwrap_or_default().as_str()) {
            fs::copy(entry.path(), dir.join(entry.file_name()))?;
        }
    }
    Ok(())
}

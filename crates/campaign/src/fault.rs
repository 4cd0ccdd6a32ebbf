//! The faults: what is done to whom, and how it is undone.

use crate::{
    cluster::Cluster,
    operation::Goal,
    schedule::{Fault, LEAD_MS, Operation, Round, Victim},
};
use anyhow::Context;
use std::time::Duration;

/// What a sync of a slow disk takes longer.
const SLOW_MICROSECONDS: u32 = 400_000;

/// A fault that was made, and is there until it is healed.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    fault: Fault,
    victim: usize,
}

/// Makes the fault of a round at its time, and heals it at its time where it does not last until the program has ended.
pub async fn strike(
    cluster: &mut Cluster,
    round: &Round,
    goal: &Goal,
) -> anyhow::Result<Option<Made>> {
    if matches!(round.fault, Fault::None | Fault::Clock) {
        return Ok(None);
    }
    tokio::time::sleep(Duration::from_millis(round.at_ms)).await;
    let victim = victim(cluster, round, goal).await;
    let made = Made { fault: round.fault, victim };
    made.begin(cluster)?;
    let Some(lasts) = round.lasts_ms else { return Ok(Some(made)) };
    tokio::time::sleep(Duration::from_millis(lasts)).await;
    made.heal(cluster)?;
    Ok(None)
}

/// When the program starts, after the clients.
pub fn lead() -> Duration {
    Duration::from_millis(LEAD_MS)
}

/// Whom it hits. A dead member is hit no more: somebody else is.
async fn victim(cluster: &mut Cluster, round: &Round, goal: &Goal) -> usize {
    let all = cluster.members.len();
    let mut leader = None;
    for at in (0..all).filter(|at| goal.operation != Operation::RemoveDead || *at != goal.target) {
        if leader.is_none() {
            leader = cluster.leader_by(at).await;
        }
    }
    let leader = leader.unwrap_or_default();
    let other = (0..all).find(|at| *at != goal.target && *at != leader).unwrap_or_default();
    match round.victim {
        Victim::Target if goal.operation != Operation::RemoveDead => goal.target,
        Victim::Leader => leader,
        Victim::Target | Victim::Other => other,
    }
}

impl Made {
    fn begin(self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let addresses: Vec<String> = cluster.members.iter().map(|m| m.host.address()).collect();
        let member = cluster.members.get_mut(self.victim).context("the victim is no member")?;
        match self.fault {
            Fault::Kill => member.kill(),
            Fault::Pause => member.pause(true)?,
            Fault::Cut => member.host.plug(false)?,
            Fault::CutFromPeers => member.host.shun(&addresses, true)?,
            Fault::FullDisk => member.host.fill(true)?,
            Fault::SlowDisk => member.slow_down(SLOW_MICROSECONDS)?,
            Fault::None | Fault::Clock => {}
        }
        Ok(())
    }

    /// Undoes it. A member that ended by it is started again, unless it was removed meanwhile: then it stays down, as its host would.
    pub fn heal(self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let addresses: Vec<String> = cluster.members.iter().map(|m| m.host.address()).collect();
        let member = cluster.members.get_mut(self.victim).context("the victim is no member")?;
        match self.fault {
            Fault::Pause => member.pause(false)?,
            Fault::Cut => member.host.plug(true)?,
            Fault::CutFromPeers => member.host.shun(&addresses, false)?,
            Fault::FullDisk => member.host.fill(false)?,
            Fault::SlowDisk => member.untrace(),
            Fault::Kill if !member.runs() => {
                // to a member that was removed it says so, and ends
                let all: Vec<usize> = (0..cluster.members.len()).collect();
                cluster.restart(self.victim, &all)?;
            }
            Fault::Kill | Fault::None | Fault::Clock => {}
        }
        Ok(())
    }
}

/// Starts every listed member that does not run, but for one that is to stay dead, and waits until all of them serve.
pub async fn revive(cluster: &mut Cluster, dead: Option<usize>) -> anyhow::Result<Vec<usize>> {
    let deadline = std::time::Instant::now() + crate::cluster::PATIENCE;
    loop {
        let down: Vec<usize> = (0..cluster.members.len())
            .filter(|at| Some(*at) != dead)
            .filter(|at| !cluster.members.get_mut(*at).is_some_and(crate::member::Member::runs))
            .collect();
        // without a quorum nobody can tell who is listed: then whoever is down is started, and who was removed ends by itself
        let quick = tokio::time::timeout(Duration::from_secs(3), cluster.listed()).await;
        let listed: Vec<usize> = match quick {
            Ok(listed) => listed?.into_iter().map(|(at, _)| at).collect(),
            Err(_) => (0..cluster.members.len()).collect(),
        };
        let all: Vec<usize> = (0..cluster.members.len()).collect();
        for at in down.iter().filter(|at| listed.contains(at)) {
            cluster.restart(*at, &all)?;
        }
        if quick_enough(&listed, &down) || std::time::Instant::now() > deadline {
            let listed = cluster.listed().await?;
            let serving = listed.iter().filter(|(at, learner)| !learner && Some(*at) != dead);
            let serving: Vec<usize> = serving.map(|(at, _)| *at).collect();
            cluster.all_serve(&serving).await?;
            return Ok(serving);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Nobody who is listed was down.
fn quick_enough(listed: &[usize], down: &[usize]) -> bool {
    down.iter().all(|at| !listed.contains(at))
}

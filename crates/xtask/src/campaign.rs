//! `cargo xtask campaign`: long fault campaigns over the lab.

pub mod etcd;

use crate::{
    ansible::Ansible,
    deps,
    replacement::{Ended, Replacement},
    run::{ask, execute, is_root, say, target_dir},
    scenarios, stage,
    steps::Tally,
};
use anyhow::{Context, bail};

const TARGET: &str = "cp2";
/// The state to go back to after a run that did not end well. The others leave a whole cluster, proven by tools that are not ours, and the next begins on that.
const START: &str = "campaign-start";
/// More boundaries than the playbook has tasks.
const MANY: usize = 200;
const USAGE: &str = "campaigns:
  kill [<task numbers, as in 3,7,12>]  kill -9 of ansible-playbook at every task boundary in turn, each time run again
  scenarios [<part of a name>]         the named scenarios: refusals, interruptions, two controllers, a foreign cluster, a lost quorum
  etcd [--seconds <n>] [--seed <n>] [--first <round>] [--rounds <n>]
                                       faults around every operation on etcd, on real members; no lab
With --dev the development build.";

/// What is asked for.
enum Campaign {
    /// At these boundaries, or at each in turn.
    Kill(Option<Vec<usize>>),
    /// Those whose name has this part.
    Scenarios(String),
}

pub fn run(args: &[String]) -> anyhow::Result<()> {
    if let Some(("etcd", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return etcd::run(rest);
    }
    let (flags, words): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| *arg == "--dev");
    let campaign = match words.as_slice() {
        ["kill"] => Campaign::Kill(None),
        ["kill", list] => {
            let parsed: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
            Campaign::Kill(Some(parsed.context("boundaries are numbers of tasks, as in 3,7,12")?))
        }
        ["scenarios"] => Campaign::Scenarios(String::new()),
        ["scenarios", part] => Campaign::Scenarios((*part).to_owned()),
        _ => bail!("{USAGE}"),
    };
    if !is_root() {
        bail!("the campaign boots hosts and needs root");
    }
    deps::all(true)?;
    let staged = if flags.is_empty() { stage::release_here()? } else { stage::dev()? };
    let ansible = Ansible::new(staged, target_dir().join("campaign"))?;
    execute(&mut ansible.lab(&["up"]))?;
    let tally = match campaign {
        Campaign::Kill(boundaries) => kill(&ansible, boundaries)?,
        Campaign::Scenarios(part) => scenarios::named(&ansible, &part),
    };
    execute(&mut ansible.lab(&["down"]))?;
    say(&format!("{} passed, {} failed", tally.passed, tally.failed));
    if tally.failed > 0 {
        bail!("the campaign found a run that did not end as it should");
    }
    Ok(())
}

/// Three boundaries in a lab that is brought up for it: a step of `cargo xtask test`.
pub fn three_boundaries() -> anyhow::Result<Tally> {
    let ansible = Ansible::new(stage::dev()?, target_dir().join("campaign"))?;
    execute(&mut ansible.lab(&["up"]))?;
    let three = chosen(Replacement { ansible: &ansible, target: TARGET }.tasks()?)?;
    say(&format!("the commit's hash chooses the boundaries {three:?}"));
    kill(&ansible, Some(three))
}

/// Kills the playbook at the given task boundaries, or at each in turn until it ends by itself, and runs it again each time.
fn kill(ansible: &Ansible, boundaries: Option<Vec<usize>>) -> anyhow::Result<Tally> {
    execute(&mut ansible.lab(&["checkpoint", "save", START]))?;
    let (all, mut tally) = (boundaries.is_none(), Tally::default());
    for boundary in boundaries.unwrap_or_else(|| (1..MANY).collect()) {
        say(&format!("\n-- killed at task {boundary}, run again"));
        match once(ansible, boundary) {
            Ok(ended) => {
                tally.passed += 1;
                if all && ended == Ended::Well {
                    say(&format!("the playbook has {} tasks", boundary - 1));
                    break;
                }
            }
            Err(error) => {
                say(&format!("error: killed at task {boundary}: {error:#}"));
                tally.failed += 1;
                execute(&mut ansible.lab(&["checkpoint", "restore", START]))?;
            }
        }
    }
    execute(&mut ansible.lab(&["checkpoint", "remove", START]))?;
    Ok(tally)
}

fn once(ansible: &Ansible, boundary: usize) -> anyhow::Result<Ended> {
    let replacement = Replacement { ansible, target: TARGET };
    let ended = replacement.killed(&boundary.to_string())?;
    replacement.finishes()?;
    Ok(ended)
}

/// Three boundaries that the commit's hash chooses, out of so many tasks: every commit tries others, and each can be tried again.
fn chosen(tasks: usize) -> anyhow::Result<Vec<usize>> {
    let mut three: Vec<usize> =
        of_hash()?.map(|number| 2 + number % tasks.max(4).saturating_sub(2)).to_vec();
    three.sort_unstable();
    three.dedup();
    Ok(three)
}

/// Three numbers that the commit's hash gives.
pub fn of_hash() -> anyhow::Result<[usize; 3]> {
    let hash = ask(&mut crate::run::command("git", ["rev-parse", "HEAD"]))?;
    let digits = |from: usize| {
        hash.get(from..from + 6)
            .and_then(|hex| usize::from_str_radix(hex, 16).ok())
            .unwrap_or_default()
    };
    Ok([0, 6, 12].map(digits))
}

//! For development: faults around every operation on etcd, and the judgement of what clients saw meanwhile.
//!
//! A round is a cluster of real etcd processes with TLS, every member in a network namespace and on a disk of its own. Clients write, and play with registers. One
//! operation of the collection runs while something goes wrong, and is run again until it is done. Then: it ends in the state that was asked for, one more run
//! changes nothing, no acknowledged write is lost on any member, the registers were linearizable, and the cluster serves.
//!
//! Everything that it starts lives in namespaces (processes, network, mounts) that the kernel takes down with this program, however it ends: nothing can be left behind, and
//! nothing of the host is touched. It needs root for that.
//!
//! What is tried follows from the seed (see [`schedule`]); what happens then is as little repeatable as the world.

mod arguments;
mod clients;
mod cluster;
mod fault;
mod history;
mod judge;
mod lane;
mod member;
mod operation;
mod pki;
mod program;
mod report;
mod restore;
mod round;
mod schedule;

use anyhow::{Context, bail};
use arguments::{Arguments, INSIDE};
use nix::unistd::getuid;
use report::Came;
use schedule::{Fault, Round};
use std::{
    collections::BTreeSet,
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Rounds at a time: most of a round is waiting.
const LANES: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line; a reader that has gone is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn run() -> anyhow::Result<bool> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (inside, words) = match words.split_first() {
        Some((first, rest)) if first == INSIDE => (true, rest),
        _ => (false, words.as_slice()),
    };
    let arguments = Arguments::of(words)?;
    if inside {
        return campaign(&arguments);
    }
    if !getuid().is_root() {
        bail!("the campaign makes namespaces and mounts of its own and needs root");
    }
    // Before the namespaces: a build that takes minutes is nobody's fault.
    programs_are_there(&arguments)?;
    let own = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--pid", "--fork"]);
    command.args(["--mount-proc", "--kill-child=KILL", "--"]).arg(own).arg(INSIDE).args(words);
    Err(command.exec()).context("failed to start \"setpriv\" and \"unshare\" (util-linux)")
}

/// Builds what the rounds need, as far as anybody can tell how many there will be.
fn programs_are_there(arguments: &Arguments) -> anyhow::Result<()> {
    let rounds = (arguments.first..).map_while(|number| arguments.round(number)).take(100);
    let needed: BTreeSet<_> =
        rounds.map(|round| (round.version.line(), round.fault == Fault::Clock)).collect();
    for (line, other_clock) in needed {
        artefacts::etcd_of(line)?;
        artefacts::etcdutl_of(line)?;
        if other_clock {
            artefacts::etcd_other_clock_of(line)?;
        }
    }
    artefacts::linearizable()?;
    Ok(())
}

fn campaign(arguments: &Arguments) -> anyhow::Result<bool> {
    lane::prepare()?;
    let what = if arguments.short {
        "the short one".to_owned()
    } else {
        format!("{} s", arguments.seconds)
    };
    say(&format!("seed {}, {what}; again with: --seed {}", arguments.seed, arguments.seed));
    let (next, came) = (AtomicU64::new(arguments.first), Mutex::new(vec![]));
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    let one_after_the_other = |lane: u8| {
        while Instant::now() < until {
            let Some(round) = arguments.round(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let one = one(lane, &round, arguments);
            say(&one.line());
            came.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        }
    };
    thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || one_after_the_other(lane));
        }
    });
    let mut came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    came.sort_by_key(|one| one.round.number);
    report::write(arguments, &came)
}

/// A round that could not be judged has failed, and says why.
fn one(lane: u8, round: &Round, arguments: &Arguments) -> Came {
    let began = Instant::now();
    let mut came = Came::of(round);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .context("failed to start the runtime")
        .and_then(|runtime| runtime.block_on(round::play(lane, round, arguments, &mut came)));
    if let Err(error) = ended {
        came.problems.push(format!("{error:#}"));
    }
    came.seconds = began.elapsed().as_secs_f64();
    came
}

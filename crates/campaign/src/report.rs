//! What came of the rounds: lines, a table, and the file for machines.

use crate::{
    arguments::Arguments,
    judge::Verdict,
    program::{Ended, Run},
    say,
    schedule::Round,
};
use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// How many lost keys are named.
const NAMED: usize = 5;

/// What came of a round.
#[derive(Clone, Debug, Serialize)]
pub struct Came {
    /// What was tried.
    pub round: Round,
    /// How each run of our program ended, and after how many milliseconds.
    pub runs: Vec<(String, u128)>,
    /// Runs that were killed.
    pub interrupted: usize,
    /// Refusals by their codes: under a fault, a right answer.
    pub refusals: BTreeMap<String, usize>,
    /// Runs that failed otherwise.
    pub failures: usize,
    /// Whether the operation was done in the end.
    pub finished: bool,
    /// Whether every voter that is left served linearizable reads in the end.
    pub serves: bool,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Of those, keys that some member does not have.
    pub lost: usize,
    /// Calls of the registers' clients.
    pub registers: usize,
    /// What the checker said of them.
    pub verdict: Option<Verdict>,
    /// Why the round failed; none: it did not.
    pub problems: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Came {
    /// Nothing yet.
    pub fn of(round: &Round) -> Self {
        Self {
            round: round.clone(),
            runs: vec![],
            interrupted: 0,
            refusals: BTreeMap::new(),
            failures: 0,
            finished: false,
            serves: false,
            acknowledged: 0,
            lost: 0,
            registers: 0,
            verdict: None,
            problems: vec![],
            seconds: 0.0,
        }
    }

    /// Notes how a run ended.
    pub fn ran(&mut self, run: &Run) {
        let how = match &run.ended {
            Ended::Killed => {
                self.interrupted += 1;
                "killed".into()
            }
            Ended::Done { changed, .. } => if *changed { "changed" } else { "ok" }.into(),
            Ended::Refused(code, text) => {
                *self.refusals.entry(code.clone()).or_default() += 1;
                format!("refused ({code}): {text}")
            }
            Ended::Failed(text) => {
                self.failures += 1;
                format!("failed: {text}")
            }
        };
        self.runs.push((how, run.took.as_millis()));
    }

    /// Notes acknowledged keys that are not there.
    pub fn lost(&mut self, keys: &BTreeSet<String>) {
        self.lost += keys.len();
        if !keys.is_empty() {
            let some: Vec<_> = keys.iter().take(NAMED).cloned().collect();
            self.problems.push(format!(
                "{} acknowledged writes are lost: {}",
                keys.len(),
                some.join(", ")
            ));
        }
    }

    /// Whether all that must hold did.
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
            && self.finished
            && self.serves
            && self.lost == 0
            && self.verdict == Some(Verdict::Linearizable)
    }

    /// For whoever watches.
    pub fn line(&self) -> String {
        let how = if self.passed() { "ok" } else { "FAILED" };
        let words = self
            .runs
            .iter()
            .map(|(how, ms)| format!("{} {ms} ms", how.split(':').next().unwrap_or_default()));
        let words = words.collect::<Vec<_>>().join(", ");
        let mut text = format!("{how} in {:.0} s: {}: {words}", self.seconds, self.round.title());
        for problem in &self.problems {
            text.push_str("\n    error: ");
            text.push_str(problem);
        }
        text
    }
}

/// Sums over some rounds.
#[derive(Default, Serialize)]
struct Sum {
    rounds: usize,
    passed: usize,
    runs: usize,
    interrupted: usize,
    finished_by_a_rerun: usize,
    refused: usize,
    failed_runs: usize,
    acknowledged: usize,
    lost: usize,
    registers: usize,
    linearizable: usize,
}

impl Sum {
    fn of<'a>(came: impl Iterator<Item = &'a Came>) -> Self {
        let mut sum = Self::default();
        for one in came {
            sum.rounds += 1;
            sum.passed += usize::from(one.passed());
            sum.runs += one.runs.len();
            sum.interrupted += one.interrupted;
            sum.finished_by_a_rerun += usize::from(one.interrupted > 0 && one.finished);
            sum.refused += one.refusals.values().sum::<usize>();
            sum.failed_runs += one.failures;
            sum.acknowledged += one.acknowledged;
            sum.lost += one.lost;
            sum.registers += one.registers;
            sum.linearizable += usize::from(one.verdict == Some(Verdict::Linearizable));
        }
        sum
    }

    fn line(&self, name: &str) -> String {
        let Self { rounds, passed, runs, interrupted, finished_by_a_rerun, refused, .. } = self;
        let Self { acknowledged, lost, registers, linearizable, failed_runs, .. } = self;
        format!(
            "{name:<18}{rounds:>7}{passed:>7}{runs:>6}{interrupted:>8}{finished_by_a_rerun:>9}{refused:>9}{failed_runs:>8}{acknowledged:>10}{lost:>6}{registers:>11}{linearizable:>14}"
        )
    }
}

/// Writes the file and the table; whether every round passed.
pub fn write(arguments: &Arguments, came: &[Came]) -> anyhow::Result<bool> {
    let all = Sum::of(came.iter());
    let passed = all.passed == all.rounds && all.rounds > 0;
    let file = arguments.out.join("etcd.json");
    fs::create_dir_all(&arguments.out)?;
    let report = json!({
        "seed": arguments.seed, "short": arguments.short, "versions": versions(),
        "passed": passed, "all": all, "refusals": refusals(came), "rounds": came,
        "by_operation": by(came, |round| name(&round.operation)),
        "by_fault": by(came, |round| name(&round.fault)),
        "by_cluster": by(came, cluster),
    });
    fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("failed to write {}", file.display()))?;
    table(came, &all);
    say(&file.display().to_string());
    let seconds: f64 = came.iter().map(|one| one.seconds).sum();
    // in words that whoever counts tests understands
    say(&format!("{} passed, {} failed in {seconds:.1}s", all.passed, all.rounds - all.passed));
    Ok(passed)
}

fn table(came: &[Came], all: &Sum) {
    say(&format!(
        "\n{:<18}{:>7}{:>7}{:>6}{:>8}{:>9}{:>9}{:>8}{:>10}{:>6}{:>11}{:>14}",
        "",
        "rounds",
        "passed",
        "runs",
        "killed",
        "finished",
        "refused",
        "failed",
        "writes",
        "lost",
        "registers",
        "linearizable"
    ));
    let groups = [
        by(came, |round| name(&round.operation)),
        by(came, |round| name(&round.fault)),
        by(came, cluster),
    ];
    for group in groups {
        for (name, sum) in &group {
            say(&sum.line(name));
        }
        say("");
    }
    say(&all.line("all"));
    for (code, count) in refusals(came) {
        say(&format!("refused {count} times: {code}"));
    }
}

fn by(came: &[Came], key: impl Fn(&Round) -> String) -> BTreeMap<String, Sum> {
    let keys: BTreeSet<String> = came.iter().map(|one| key(&one.round)).collect();
    let of = |wanted: &str| Sum::of(came.iter().filter(|one| key(&one.round) == wanted));
    keys.into_iter().map(|key| (key.clone(), of(&key))).collect()
}

fn cluster(round: &Round) -> String {
    format!("{} of {}", round.size, round.version.line())
}

/// The name as the file has it.
fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn refusals(came: &[Came]) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for (code, count) in came.iter().flat_map(|one| &one.refusals) {
        *all.entry(code.clone()).or_default() += count;
    }
    all
}

fn versions() -> BTreeMap<&'static str, &'static str> {
    ["3.5", "3.6"]
        .into_iter()
        .filter_map(|line| Some((line, artefacts::etcd_version_of(line)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn good(number: u64) -> Came {
        let mut came = Came::of(&Round::of(1, number));
        (came.finished, came.serves, came.verdict) = (true, true, Some(Verdict::Linearizable));
        for ended in [
            Ended::Killed,
            Ended::Refused("quorum".into(), "no".into()),
            Ended::Done { changed: true, reply: Value::Null },
        ] {
            came.ran(&Run { ended, took: Duration::from_secs(1) });
        }
        came
    }

    #[test]
    fn a_refusal_is_counted_and_fails_nothing() {
        let came = [good(0), good(1)];
        let sum = Sum::of(came.iter());
        assert_eq!((sum.passed, sum.refused, sum.finished_by_a_rerun), (2, 2, 2));
        assert_eq!(refusals(&came), BTreeMap::from([("quorum".into(), 2)]));
    }

    #[test]
    fn whatever_is_lost_not_linearizable_or_not_finished_fails_a_round() {
        let mut lost = good(0);
        lost.lost(&BTreeSet::from(["a on member 1".into()]));
        let rest = [
            Came { finished: false, ..good(0) },
            Came { serves: false, ..good(0) },
            Came { verdict: Some(Verdict::Illegal), ..good(0) },
            Came { verdict: Some(Verdict::Unknown), ..good(0) },
            Came { verdict: None, ..good(0) },
        ];
        assert!(good(0).passed() && !lost.passed() && lost.lost == 1);
        assert!(rest.iter().all(|one| !one.passed()));
        assert!(lost.line().starts_with("FAILED") && lost.line().contains("a on member 1"));
    }

    #[test]
    fn groups_add_up() {
        let came: Vec<_> = (0..40).map(good).collect();
        let rounds =
            |groups: BTreeMap<String, Sum>| groups.values().map(|sum| sum.rounds).sum::<usize>();
        assert_eq!(rounds(by(&came, |round| name(&round.fault))), 40);
        assert_eq!(by(&came, cluster).len(), 4);
        assert!(by(&came, |round| name(&round.operation)).contains_key("remove_leader"));
    }
}

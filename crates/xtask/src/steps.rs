//! Steps that are timed and counted, and the table at the end.

use crate::run::{run_reading, said, say};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What came of a step.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests among those that passed which had failed before, when others ran beside them.
    pub unstable: usize,
}

impl Tally {
    /// A step that is one test.
    pub const ONE: Self = Self { passed: 1, failed: 0, unstable: 0 };
    /// One that failed.
    pub const FAILED: Self = Self { passed: 0, failed: 1, unstable: 0 };

    /// What came of a step that is one test.
    pub fn one(passed: bool) -> Self {
        if passed { Self::ONE } else { Self::FAILED }
    }

    /// Adds what came of another.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.unstable += other.unstable;
    }

    /// A program that failed has a failure: it did not compile, or a test ended the whole of it.
    fn or_failed(self, succeeded: bool) -> Self {
        let failed = if succeeded { self.failed } else { self.failed.max(1) };
        Self { failed, ..self }
    }
}

/// Runs a program of tests and adds up its `test result:` lines.
pub fn counted(command: &mut Command) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let succeeded = run_reading(command, |line| tally.add(of_result_line(line)))?;
    Ok(tally.or_failed(succeeded))
}

/// The same for one whose output is there already.
pub fn of_output<'a>(lines: impl Iterator<Item = &'a str>, succeeded: bool) -> Tally {
    let mut tally = Tally::default();
    lines.for_each(|line| tally.add(of_result_line(line)));
    tally.or_failed(succeeded)
}

/// `test result: ok. 3 passed; 1 failed; ..` of cargo, `== 1 failed, 3 passed in 2.1s ==` of pytest. Any other line counts nothing.
fn of_result_line(line: &str) -> Tally {
    let cargo = line
        .split_once("test result: ")
        .and_then(|(_, rest)| rest.split_once(". "))
        .map(|(_, counts)| counts.split("; ").collect());
    let pytest = || {
        line.rsplit_once(" in ")
            .map(|(counts, _)| counts.trim_matches(['=', ' ']).split(", ").collect())
    };
    let parts: Vec<&str> = cargo.or_else(pytest).unwrap_or_default();
    parts
        .into_iter()
        .take_while(|part| !part.starts_with("finished in "))
        .try_fold(Tally::default(), |tally, part| {
            let (count, what) = part.split_once(' ')?;
            let count: usize = count.parse().ok()?;
            Some(match what {
                "passed" => Tally { passed: tally.passed + count, ..tally },
                "failed" | "error" | "errors" => Tally { failed: tally.failed + count, ..tally },
                _ => tally,
            })
        })
        .unwrap_or_default()
}

/// A row of the table.
enum Row {
    Ran { name: String, took: Duration, tally: Tally },
    Skipped { name: String, why: String },
}

/// What has run so far.
#[derive(Default)]
pub struct Steps {
    rows: Vec<Row>,
    /// What the steps that failed said of it, for the end: nobody reads back through the rest.
    failures: Vec<String>,
}

impl Steps {
    /// Runs a step. An error fails it and does not end the others.
    pub fn step(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<Tally>) {
        said();
        say(&format!("\n== {name}"));
        let began = Instant::now();
        let tally = step().unwrap_or_else(|error| {
            say(&format!("error: {error:#}"));
            Tally::FAILED
        });
        if tally.failed + tally.unstable > 0 {
            self.failures.push(format!("-- {name}"));
            self.failures.extend(of_failures(&said()));
        }
        self.rows.push(Row::Ran { name: name.to_owned(), took: began.elapsed(), tally });
    }

    /// Notes a step that does not run.
    pub fn skip(&mut self, name: &str, why: &str) {
        say(&format!("\n== {name}: skipped, {why}"));
        self.rows.push(Row::Skipped { name: name.to_owned(), why: why.to_owned() });
    }

    /// What came of all steps.
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for row in &self.rows {
            if let Row::Ran { tally, .. } = row {
                all.add(*tally);
            }
        }
        all
    }

    /// Prints the table; the last line says `N passed, N failed`.
    ///
    /// Ends the program with status 1 when anything failed: that line is the last one.
    pub fn finish(self) {
        let Tally { passed, failed, unstable } = self.tally();
        if failed + unstable > 0 {
            say("\n== what failed");
            self.failures.iter().for_each(|line| say(line));
        }
        say(&format!("\n{:<52} {:>7} {:>7} {:>9}", "step", "passed", "failed", "seconds"));
        for row in &self.rows {
            say(&match row {
                Row::Ran { name, took, tally } => {
                    format!(
                        "{name:<52} {:>7} {:>7} {:>9.1}",
                        tally.passed,
                        tally.failed,
                        took.as_secs_f64()
                    )
                }
                Row::Skipped { name, why } => format!("{name:<52} skipped: {why}"),
            });
        }
        if unstable > 0 {
            say(&format!(
                "{unstable} of those that passed failed before, when others ran beside them"
            ));
        }
        say(&format!("{passed} passed, {failed} failed"));
        if failed > 0 {
            std::process::exit(1);
        }
    }
}

/// The lines that tell of a failure, each with some that follow it, and the last ones.
fn of_failures(lines: &[String]) -> Vec<String> {
    const BEHIND: usize = 6;
    const LAST: usize = 8;
    const AT_MOST: usize = 60;
    let tells = |line: &String| {
        ["error", "fatal:", "FAILED", "panicked at", "Error: "]
            .iter()
            .any(|word| line.contains(word))
    };
    let mut wanted: Vec<_> = (0..lines.len())
        .filter(|at| {
            let before = lines.get(at.saturating_sub(BEHIND)..=*at).unwrap_or_default();
            before.iter().any(tells) || at + LAST >= lines.len()
        })
        .collect();
    let too_many = wanted.len().saturating_sub(AT_MOST);
    wanted.drain(..too_many);
    let short = |line: &String| line.chars().take(400).collect();
    wanted.iter().filter_map(|at| lines.get(*at).map(short)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_with_what_follows_it_and_the_end() {
        let mut lines: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        lines.splice(20..20, ["fatal: [cp2]: FAILED!".to_owned()]);
        let told = of_failures(&lines);
        assert_eq!(told.first().map(String::as_str), Some("fatal: [cp2]: FAILED!"));
        assert_eq!(told.get(6).map(String::as_str), Some("line 25"));
        assert_eq!(told.get(7).map(String::as_str), Some("line 92"));
        assert_eq!(told.len(), 15);
    }

    #[test]
    fn a_flood_of_failures_is_cut_at_its_begin() {
        let lines: Vec<String> = (0..500).map(|number| format!("error {number}")).collect();
        let told = of_failures(&lines);
        assert_eq!(told.len(), 60);
        assert_eq!(told.last().map(String::as_str), Some("error 499"));
    }

    #[test]
    fn results_are_counted_however_they_are_told() {
        let tally = |line| {
            let Tally { passed, failed, .. } = of_result_line(line);
            (passed, failed)
        };
        assert_eq!(
            tally(
                "test result: FAILED. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s"
            ),
            (12, 1)
        );
        assert_eq!(tally("30 passed in 45.15s"), (30, 0));
        assert_eq!(
            tally("==== 1 failed, 19 passed, 2 skipped, 1 error in 59.69s (0:01:02) ===="),
            (19, 2)
        );
        assert_eq!(tally("Found 3 passed things"), (0, 0));
        assert_eq!(tally("3 passed, 11 deselected in 1.26s"), (3, 0));
        assert_eq!(tally("test_it.py: 3 passed out in 2"), (0, 0));
        assert_eq!(tally("made ansible-2.16 in 3.1 s"), (0, 0));
    }
}

//! Steps that are timed and counted, and the table at the end.

use crate::run::say;
use std::time::{Duration, Instant};

/// What came of a step.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
}

impl Tally {
    /// A step that is one test.
    pub const ONE: Self = Self { passed: 1, failed: 0 };

    /// Adds what came of another.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
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
}

impl Steps {
    /// Runs a step. An error fails it and does not end the others.
    pub fn step(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<Tally>) {
        say(&format!("\n== {name}"));
        let began = Instant::now();
        let tally = step().unwrap_or_else(|error| {
            say(&format!("error: {error:#}"));
            Tally { passed: 0, failed: 1 }
        });
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
        let Tally { passed, failed } = self.tally();
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
        say(&format!("{passed} passed, {failed} failed"));
        if failed > 0 {
            std::process::exit(1);
        }
    }
}

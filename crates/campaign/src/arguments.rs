//! What the command line says.

use crate::schedule::Round;
use anyhow::{Context, bail};
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// The first word of the program that runs in its own namespaces.
pub const INSIDE: &str = "inside";
const USAGE: &str = "campaign --quorate <program> --out <directory> [--seconds <n>] [--seed <n>] [--first <round>] [--rounds <n>] [--short]";
/// Where nothing is said.
const SECONDS: u64 = 600;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments {
    /// Our program, with all modules in it.
    pub quorate: PathBuf,
    /// Where the report goes, and what is kept of rounds that failed.
    pub out: PathBuf,
    /// No round begins later.
    pub seconds: u64,
    /// What is tried follows from it.
    pub seed: u64,
    /// The first round.
    pub first: u64,
    /// How many at most.
    pub rounds: u64,
    /// The few rounds of every test run, instead of those of the seed.
    pub short: bool,
}

impl Arguments {
    /// Reads them. A seed that is not given is told by the clock, and printed.
    pub fn of(words: &[String]) -> anyhow::Result<Self> {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut own = Self {
            quorate: PathBuf::new(),
            out: PathBuf::new(),
            seconds: SECONDS,
            seed: clock % 1_000_000,
            first: 0,
            rounds: u64::MAX,
            short: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--short" {
                own.short = true;
                continue;
            }
            let value = words.next().with_context(|| format!("{word} needs a value; {USAGE}"))?;
            let number =
                || value.parse().with_context(|| format!("{word} needs a number, got {value:?}"));
            match word.as_str() {
                "--quorate" => own.quorate = value.into(),
                "--out" => own.out = value.into(),
                "--seconds" => own.seconds = number()?,
                "--seed" => own.seed = number()?,
                "--first" => own.first = number()?,
                "--rounds" => own.rounds = number()?,
                other => bail!("unknown argument {other:?}; {USAGE}"),
            }
        }
        if !own.quorate.is_absolute() || !own.out.is_absolute() {
            bail!("--quorate and --out need absolute paths; {USAGE}");
        }
        Ok(own)
    }

    /// The round with this number, while there are any.
    pub fn round(&self, number: u64) -> Option<Round> {
        if number.saturating_sub(self.first) >= self.rounds {
            return None;
        }
        if self.short { Round::short(number) } else { Some(Round::of(self.seed, number)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> anyhow::Result<Arguments> {
        Arguments::of(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_seed_that_was_printed_is_given_again() {
        let own = of("--quorate /q --out /o --seed 7 --first 3 --rounds 2").unwrap();
        assert_eq!((own.seed, own.seconds), (7, 600));
        let numbers: Vec<_> =
            (3..9).map_while(|number| own.round(number)).map(|r| r.number).collect();
        assert_eq!(numbers, [3, 4]);
        assert_eq!(own.round(4), Some(Round::of(7, 4)));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        assert!(of("--quorate q --out /o").is_err());
        assert!(of("--quorate /q --out /o --seed x").unwrap_err().to_string().contains("--seed"));
        assert!(of("--quorate /q --out /o --fast 1").unwrap_err().to_string().contains("--fast"));
        assert!(of("--quorate /q --out /o --seed").unwrap_err().to_string().contains("value"));
    }
}

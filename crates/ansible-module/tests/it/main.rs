//! The decoder as an outsider meets it.

#![cfg(test)]

mod anything;

use anything::hold;
use std::{fs, path::Path};

/// What a fuzzer found worth keeping: `fuzz/README.md`.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/request");

/// A generator of its own, so that a failure can be had again: xorshift64*, Vigna 2016.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap_or_default() % sides.max(1)
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(Path::new(CORPUS)).expect("the corpus lies in fuzz/corpus/request");
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), fs::read(&path).unwrap())
        })
        .collect();
    all.sort();
    assert!(all.len() > 20, "a corpus of {} requests", all.len());
    all
}

#[test]
fn every_request_of_the_corpus_is_decoded_or_refused() {
    let decoded = corpus().iter().filter(|(_, bytes)| hold(bytes)).count();
    assert!(decoded > 5, "only {decoded} could be used: the corpus does not reach the decoder");
}

/// The fuzzer has a step of its own in `cargo xtask test`; this goes with every `cargo test`.
#[test]
fn no_mutation_of_the_corpus_breaks_the_decoder() {
    let (corpus, mut dice) = (corpus(), Dice(0x51_0A_7E));
    for _ in 0..5_000 {
        let mut bytes = corpus[dice.roll(corpus.len())].1.clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(bytes.len() + 1);
            match dice.roll(4) {
                0 => bytes.insert(at, b"\"{}[]:,0e-.\\\xff\0"[dice.roll(13)]),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
                _ => {
                    let other = &corpus[dice.roll(corpus.len())].1;
                    let from = dice.roll(other.len() + 1);
                    let to = (from + dice.roll(24)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        hold(&bytes);
    }
}

#[test]
fn depth_and_length_are_refused_or_read() {
    for text in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"text\":{}1{}}}", "[".repeat(100), "]".repeat(100)),
        format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20)),
        format!("{{\"{}\":1}}", "x".repeat(1 << 20)),
        format!("{{\"span\":\"{}\"}}", "9".repeat(1 << 20)),
        format!("{{\"size\":\"{}K\"}}", "9".repeat(1 << 20)),
        format!("{{\"sub\":\"{}\"}}", "a=b,".repeat(1 << 18)),
        "{\"number\":1e400}".into(),
        "{\"fraction\":1e400}".into(),
    ] {
        hold(text.as_bytes());
    }
}

//! `witness report`: reads the three files, judges, writes the report.

pub mod facts;
pub mod html;
pub mod judge;
pub mod picture;
pub mod table;
pub mod tally;
pub mod value;

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::event::{Event, read_lines};
use crate::options;
use facts::{Facts, Step};

/// Writes report.json and report.html and gives the terminal's table with the verdict.
pub fn run(options: &options::Report) -> anyhow::Result<(String, bool)> {
    let events: Vec<Event> = read_lines(&options.events)?;
    let steps: Vec<Step> = read_lines(&options.steps)?;
    let text = fs::read_to_string(&options.facts)
        .with_context(|| format!("read {}", options.facts.display()))?;
    let facts: Facts =
        serde_json::from_str(&text).with_context(|| format!("read {}", options.facts.display()))?;

    let report = judge::judge(&events, &facts);
    fs::create_dir_all(&options.out)
        .with_context(|| format!("create {}", options.out.display()))?;
    let json = serde_json::to_string_pretty(&report).context("write the report as JSON")?;
    put(&options.out.join("report.json"), &format!("{json}\n"))?;
    put(&options.out.join("report.html"), &html::page(&report, &events, &steps, &facts))?;
    Ok((table::terminal(&report), report.verdict.ok))
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

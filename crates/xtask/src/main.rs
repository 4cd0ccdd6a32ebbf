//! For development: the one door to every task.
//!
//! It depends on light crates only, so that `cargo xtask deps` builds on a machine that has nothing but Rust and a linker, and can bring the rest.
//! Each task is a file; what it runs is printed before it runs.

mod ansible;
mod bench;
mod campaign;
mod check;
mod demo;
mod deps;
mod dist;
mod docs;
mod examples;
mod fuzz;
mod lab;
mod matrix;
mod programs;
mod replacement;
mod run;
mod scenarios;
mod site;
mod spec;
mod stage;
mod steps;
mod test;
mod tidy;

use run::say;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <task>
  deps [--no-lab]        installs what the machine lacks: Debian packages, Rust targets, Python packages, cargo-deny
  test [--no-lab] [--only <text>]   every test; --no-lab leaves out what needs root; --only runs the steps whose name has the text
  check                  formatting, lints, licences and duplicates, the workspace's own rules, documentation in step
  tidy                   the workspace's own rules alone
  docs [--check|--site]  writes the modules' documentation from their Rust types, says what differs, or builds the pages under target/docs-site
  stage [--profile <p>]  the collection as an installable tree under target/stage; profile release (both architectures), standalone or dev (this one)
  dist                   under target/dist: the collection's tarball, the standalone programs, what they are made of, and the sums
  lab <command>          the lab: up, down, status, exec, ssh, ..
  examples               every example of every module's documentation, in the lab
  demo                   a broken control-plane node replaced, end to end
  bench [group]          speed and size, against the alternatives
  campaign <name>        long fault campaigns";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) =
        args.split_first().map_or(("", [].as_slice()), |(task, rest)| (task.as_str(), rest));
    let done = match task {
        "deps" => deps::run(rest),
        "test" => test::run(rest),
        "check" => check::run(rest),
        "tidy" => tidy::run(),
        "docs" => docs::run(rest),
        "stage" => stage::run(rest),
        "dist" => dist::run(),
        "lab" => lab::run(rest),
        "examples" => examples::in_a_lab(),
        "demo" => demo::run(rest),
        "bench" => bench::run(rest),
        "campaign" => campaign::run(rest),
        "" | "help" | "-h" | "--help" => {
            say(USAGE);
            Ok(())
        }
        other => Err(anyhow::anyhow!("no task {other:?}\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

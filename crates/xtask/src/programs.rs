//! The test programs of the workspace: built by cargo, run several at a time. Most of them wait for real servers, one after the other that would be most of the time.

use crate::{
    run::{MUSL, ask, cargo, command, say},
    spec::field,
    steps::{Tally, counted, of_output},
};
use anyhow::Context;
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

/// On two cores; each runs two tests at a time.
const AT_A_TIME: usize = 3;

/// Test programs that leave the machine to nobody else while they run.
const GREEDY: [&str; 1] = ["orphans"];

/// A built program of tests.
struct Program {
    /// Of the crate, where cargo runs it.
    dir: PathBuf,
    /// `it` or the crate's own name.
    target: String,
    executable: PathBuf,
}

impl Program {
    fn from(message: &Value) -> Option<Self> {
        let manifest = PathBuf::from(field(message, "manifest_path").as_str()?);
        Some(Self {
            dir: manifest.parent()?.to_path_buf(),
            target: field(field(message, "target"), "name").as_str()?.to_owned(),
            executable: field(message, "executable").as_str()?.into(),
        })
    }

    fn package(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self) -> Command {
        let mut program = command(&self.executable, [""; 0]);
        program.current_dir(&self.dir).env("CARGO_MANIFEST_DIR", &self.dir);
        program
    }
}

/// Every test of the workspace, and the examples in its documentation.
pub fn tally() -> anyhow::Result<Tally> {
    let (greedy, others): (Vec<_>, Vec<_>) =
        built(&[])?.into_iter().partition(|program| GREEDY.contains(&program.target.as_str()));
    let programs = Mutex::new(others.into_iter());
    let came = Mutex::new(vec![]);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = programs.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(program) = next else { break };
                    let ran = run(&program);
                    came.lock().unwrap_or_else(PoisonError::into_inner).push((program, ran));
                }
            });
        }
    });
    let mut tally = Tally::default();
    for (program, ran) in came.into_inner().unwrap_or_else(PoisonError::into_inner) {
        tally.add(if ran.tally.failed == 0 { ran.tally } else { alone(&program, &ran) });
    }
    for program in greedy {
        tally.add(run(&program).tally);
    }
    tally.add(counted(&mut cargo(["test", "--quiet", "--workspace", "--doc", "--target", MUSL]))?);
    Ok(tally)
}

/// Runs a program that failed among others once more, alone. Where it passes now it was the load that it did not bear, or luck:
/// that is told in the table, for somebody to mend, and does not stop everybody else. A program that fails twice has failed.
fn alone(program: &Program, first: &Ran) -> Tally {
    say(&format!(
        "\n   {}: what failed, before it runs once more, alone\n{}",
        program.package(),
        first.text
    ));
    let second = run(program).tally;
    Tally { unstable: if second.failed == 0 { first.tally.failed } else { 0 }, ..second }
}

/// What a program printed, and what that comes to.
struct Ran {
    text: String,
    tally: Tally,
}

/// Runs one, and prints what it printed when it has ended: several at a time would be unreadable.
fn run(program: &Program) -> Ran {
    let ran = program.command().stdin(Stdio::null()).output();
    let (text, succeeded) = match ran {
        Ok(ran) => {
            let text =
                [ran.stdout, ran.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
            (text.concat(), ran.status.success())
        }
        Err(error) => (format!("error: failed to start: {error}"), false),
    };
    let text = text.trim().to_owned();
    say(&format!("\n   {}: {}\n{text}", program.package(), program.target));
    Ran { tally: of_output(text.lines(), succeeded), text }
}

/// The program of a crate's `tests/it`.
pub fn it_of(package: &str) -> anyhow::Result<Command> {
    let programs = built(&["--test", "it"])?;
    let own = programs.iter().find(|program| program.package() == package);
    own.map(Program::command).with_context(|| format!("cargo named no test program of {package:?}"))
}

fn built(which: &[&str]) -> anyhow::Result<Vec<Program>> {
    let mut build = cargo(["test", "--quiet", "--workspace", "--target", MUSL, "--no-run"]);
    let said = ask(build.arg("--message-format=json").args(which))?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_test = |message: &Value| *field(field(message, "profile"), "test") == Value::Bool(true);
    Ok(messages.filter(is_test).filter_map(|message| Program::from(&message)).collect())
}

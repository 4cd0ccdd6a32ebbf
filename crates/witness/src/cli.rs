//! From the command line to an exit status.

use std::io::Write as _;
use std::process::ExitCode;

use crate::options::{Command, USAGE};
use crate::{report, status, verify, watch};

/// Runs the program: 0 held, 1 something did not hold or went wrong, 2 the command line is not understood.
pub fn run(words: impl Iterator<Item = String>) -> ExitCode {
    let command = match Command::read(words) {
        Ok(command) => command,
        Err(error) => {
            say_to_stderr(&format!("witness: {error:#}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match perform(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say_to_stderr(&format!("witness: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Help => say(USAGE),
        Command::Watch(options) => runtime()?.block_on(watch::run(&options)),
        Command::Verify(options) => {
            let (text, held) = runtime()?.block_on(verify::run(&options))?;
            say(&text).map(|_| held)
        }
        Command::Report(options) => {
            let (text, held) = report::run(&options)?;
            say(&text).map(|_| held)
        }
        Command::Status(events) => say(&format!("{}\n", status::run(&events)?)),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn say(text: &str) -> anyhow::Result<bool> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(true)
}

fn say_to_stderr(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

//! Keeps a control plane under watch while an operation runs, and writes the evidence.

use std::process::ExitCode;

fn main() -> ExitCode {
    witness::cli::run(std::env::args().skip(1))
}

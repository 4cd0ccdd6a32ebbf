//! A Go program whose clock is off.
//!
//! Go asks the kernel for the time by itself, so that a library in between (faketime) is never asked, and a time namespace shifts no wall clock. What is built here is the same source
//! over a `time` package whose `Now` adds what the environment says; the monotonic clock is left alone, as a wrong clock leaves it.

use crate::cache;
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file more in the package `time`.
pub(crate) const READER: &str = r#"package time

import "syscall"

// ahead is by how many seconds the wall clock is off.
var ahead = func() (seconds int64) {
	text, _ := syscall.Getenv("QUORATE_CLOCK_AHEAD")
	sign := int64(1)
	for _, char := range text {
		if char == '-' {
			sign = -1
		} else if char >= '0' && char <= '9' {
			seconds = seconds*10 + int64(char-'0')
		}
	}
	return sign * seconds
}()
"#;
/// Where `time.Now` has the seconds, and what comes behind it.
pub(crate) const TIME_SHOWS: &str = "	sec, nsec, mono := runtimeNow()\n	if mono == 0 {\n";
const ADDED: &str = "	sec, nsec, mono := runtimeNow()\n	sec += ahead\n	if mono == 0 {\n";

/// Writes the two files and what tells the compiler to take them; the path of that.
pub(crate) fn overlay(dir: &Path) -> anyhow::Result<PathBuf> {
    let root = cache::output(Command::new("go").args(["env", "GOROOT"]))?;
    let package = Path::new(&root).join("src/time");
    let time = package.join("time.go");
    let text =
        fs::read_to_string(&time).with_context(|| format!("cannot read {}", time.display()))?;
    ensure!(
        text.matches(TIME_SHOWS).count() == 1,
        "{} does not read the clock in the one place that was expected",
        time.display()
    );
    let (ours, reader) = (dir.join("time.go.txt"), dir.join("ahead.go.txt"));
    fs::write(&ours, text.replace(TIME_SHOWS, ADDED))?;
    fs::write(&reader, READER)?;
    let replace = [(time, ours), (package.join("ahead.go"), reader)];
    let lines = replace.map(|(old, new)| format!("{:?}:{:?}", old.display(), new.display()));
    let file = dir.join("overlay.json");
    fs::write(&file, format!("{{\"Replace\":{{{}}}}}", lines.join(",")))?;
    Ok(file)
}

//! The program under test: the one just built, or one of another architecture under an emulator.

use serde_json::{Value, json};
use std::{
    io::Write,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// `QUORATE_PROTOCOL_PROGRAM` is a command line such as `qemu-aarch64-static <path of quorate>`.
fn line(example: Option<&str>) -> Vec<String> {
    let given = std::env::var("QUORATE_PROTOCOL_PROGRAM");
    let given = given.unwrap_or_else(|_| env!("CARGO_BIN_EXE_quorate").to_owned());
    let mut words: Vec<_> = given.split(' ').map(str::to_owned).collect();
    if let (Some(example), Some(program)) = (example, words.last_mut()) {
        *program =
            Path::new(program).with_file_name("examples").join(example).display().to_string();
        assert!(
            Path::new(program.as_str()).is_file(),
            "{program} is not built: cargo builds it with --examples"
        );
    }
    words
}

/// The multi-call program.
pub fn quorate() -> Command {
    started(&line(None))
}

/// The module that gets into trouble.
pub fn trouble() -> Command {
    started(&line(Some("trouble")))
}

fn started(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with a request on standard input.
pub fn over_stdin(mut command: Command, request: &Value) -> (Value, i32) {
    let child = begin(command.arg("-"), request);
    reply(&child.wait_with_output().unwrap())
}

/// Starts it with a request on standard input, and lets it run.
pub fn begin(command: &mut Command, request: &Value) -> Child {
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    child
}

/// One JSON object on one line, nothing on standard error, an exit status that agrees.
pub fn reply(output: &Output) -> (Value, i32) {
    let out = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "standard error; reply: {out}");
    assert!(
        out.ends_with('\n') && out.lines().count() == 1,
        "not exactly one line: {out:?}, {:?}",
        output.status
    );
    let json: Value = serde_json::from_str(out).unwrap();
    let status = output.status.code().unwrap_or(-1);
    assert_eq!(json["failed"] == json!(true), status != 0, "{status}: {json}");
    (json, status)
}

/// Waits for something that has to come, at most 30 s.
pub fn until(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !there() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a child's wish to be heard.
pub fn stop_listening(child: &mut Child) {
    drop::<Option<ChildStdout>>(child.stdout.take());
}

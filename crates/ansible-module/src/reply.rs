//! The only writer to standard output: one JSON object, whatever happens.

use crate::{Json, job, outcome::object, secret};
use serde_json::{Map, json};
use std::{
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Bytes of a reply.
const LARGEST: usize = 8 << 20;
static REPLIED: AtomicBool = AtomicBool::new(false);
/// What has been done so far, kept ready by the driver for whoever speaks last.
static LAST_WORDS: Mutex<Option<Map<String, Json>>> = Mutex::new(None);

/// Replies and ends the program. The first to come speaks; a reader that has gone is no reason to panic.
pub(crate) fn finish(mut members: Map<String, Json>) -> ! {
    if REPLIED.swap(true, Ordering::SeqCst) {
        // Another thread is replying, and will end the program.
        loop {
            std::thread::park();
        }
    }
    for key in ["changed", "failed"] {
        members.entry(key).or_insert(false.into());
    }
    let failed = members.get("failed") == Some(&Json::Bool(true));
    let mut reply = Json::Object(members);
    secret::scrub_json(&mut reply);
    let (text, fits) = bounded(&reply);
    if job::takes(&text) {
        std::process::exit(i32::from(failed || !fits));
    }
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    // Dropping the runtime would wait for blocking calls that nobody needs any more.
    std::process::exit(i32::from(failed || !fits || written.is_err()))
}

/// The reply as text, and whether it is small enough for the controller, which keeps every result of a play in memory and several times over. What is
/// too large is a failure that says what was done.
fn bounded(reply: &Json) -> (String, bool) {
    let text = reply.to_string();
    if text.len() <= LARGEST {
        return (text, true);
    }
    let said = reply.get("msg").and_then(Json::as_str).map(|msg| {
        let start: String = msg.chars().take(1000).collect();
        format!("; its message begins: {start}")
    });
    let instead = json!({
        "changed": reply.get("changed"),
        "failed": true,
        "refused": reply.get("refused"),
        "msg": format!(
            "the module's result is {} bytes long, and at most {LARGEST} are handed over; what it changed is changed, and it is safe to run again{}",
            text.len(),
            said.unwrap_or_default()
        ),
    });
    let members = object(instead).into_iter().filter(|(_, value)| !value.is_null());
    (Json::Object(members.collect()).to_string(), false)
}

/// Says what is no module's reply, and ends the program.
pub(crate) fn say(words: &str) -> ! {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{words}").and_then(|()| out.flush());
    std::process::exit(i32::from(written.is_err()))
}

/// Says that a job goes on by itself. Whether anybody hears it shows when it is followed.
pub(crate) fn step_aside(token: &job::Token) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "quorate: job {token}").and_then(|()| out.flush());
}

/// Replies with a failure and ends the program.
pub(crate) fn fail(text: impl Into<String>) -> ! {
    finish(object(json!({"changed": false, "failed": true, "msg": text.into()})))
}

/// Keeps what is said if the program dies before it can reply.
pub(crate) fn remember(words: Map<String, Json>) {
    *LAST_WORDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(words);
}

/// Makes a panic on any thread end in a reply. The panic's own text is not shown: it may hold a secret.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let at =
            panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        // try_lock: the panic may have come while the words were being written.
        let known = LAST_WORDS.try_lock().ok().and_then(|words| words.clone());
        let mut reply = known.unwrap_or_else(|| object(json!({"changed": false})));
        reply.insert("failed".into(), true.into());
        reply.insert("msg".into(), format!("a bug in the module, at {at}; what it had done is listed here, and it is safe to run again").into());
        finish(reply)
    }));
}

/// Whether somebody still reads standard output.
pub(crate) fn heard() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&stdout), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(_) => fds.iter().all(|fd| fd.revents().is_none_or(|events| !events.intersects(gone))),
        // Not knowing is no reason to stop half-way.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_is_too_large_is_a_failure_that_says_what_was_done() {
        let small = json!({"changed": true, "failed": false, "text": "x".repeat(1000)});
        assert_eq!(bounded(&small), (small.to_string(), true));
        let large = json!({"changed": true, "failed": false, "text": "x".repeat(LARGEST)});
        let (text, fits) = bounded(&large);
        let reply: Json = serde_json::from_str(&text).unwrap();
        assert!(!fits && reply["changed"] == true && reply["failed"] == true, "{reply}");
        assert!(
            reply["msg"].as_str().unwrap().starts_with("the module's result is 8388"),
            "{reply}"
        );
        let words = json!({"changed": false, "failed": true, "msg": "\u{e9}".repeat(LARGEST)});
        let reply: Json = serde_json::from_str(&bounded(&words).0).unwrap();
        assert!(reply["msg"].as_str().unwrap().ends_with("\u{e9}\u{e9}"), "cut between letters");
    }
}

//! The only writer to standard output: one JSON object, whatever happens.

use crate::{Json, outcome::object, secret};
use serde_json::{Map, json};
use std::{
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

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
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{reply}").and_then(|()| out.flush());
    // Dropping the runtime would wait for blocking calls that nobody needs any more.
    std::process::exit(i32::from(failed || written.is_err()))
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

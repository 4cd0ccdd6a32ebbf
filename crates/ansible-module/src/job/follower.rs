//! What a job does for one who has come in.

use super::{CHANGED, Job, hung_up, lock};
use crate::{Json, outcome::object};
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// For a follower to say what it wants, and to take what it is given.
const MANNERS: Duration = Duration::from_secs(10);
/// Between two looks whether the follower is still there.
const LOOK: Duration = Duration::from_millis(200);
/// More than any question has.
const LONGEST: u64 = 100;

/// Does what is asked: `follow <lines seen> <seconds>`, or `leave`.
pub(super) fn attend(stream: UnixStream) {
    let question = ask(&stream);
    let mut words = question.split(' ');
    match (words.next(), words.next().map(str::parse), words.next().map(str::parse)) {
        (Some("follow"), Some(Ok(seen)), Some(Ok(wait))) => {
            follow(&Arc::new(stream), seen, Instant::now() + Duration::from_secs(wait));
        }
        (Some("leave"), ..) => leave(&stream),
        _ => {}
    }
}

/// The first line.
fn ask(stream: &UnixStream) -> String {
    let _ = stream.set_read_timeout(Some(MANNERS));
    let mut line = String::new();
    let read = BufReader::new(stream.take(LONGEST)).read_line(&mut line);
    if read.is_ok() { line.trim_end().to_owned() } else { String::new() }
}

/// Answers with the reply as soon as there is one, else with lines, else with nothing when the time is over.
fn follow(stream: &Arc<UnixStream>, seen: usize, until: Instant) {
    let mut job = lock();
    if let Some(job) = job.as_mut() {
        job.followers.push(Arc::clone(stream));
    }
    let answer = loop {
        let over = Instant::now() >= until || hung_up(stream);
        match job.as_mut() {
            None => return,
            Some(job) => {
                if let Some(answer) = answer(job, seen, over) {
                    break answer;
                }
            }
        }
        let waited = CHANGED.wait_timeout(job, LOOK).unwrap_or_else(PoisonError::into_inner);
        job = waited.0;
    };
    // Who does not read holds nobody else up.
    drop(job);
    let _ = stream.set_write_timeout(Some(MANNERS));
    let _ = stream.as_ref().write_all(answer.as_bytes());
    if let Some(job) = lock().as_mut() {
        job.followers.retain(|other| !Arc::ptr_eq(stream, other));
        job.alone_since = Instant::now();
    }
}

fn answer(job: &mut Job, seen: usize, over: bool) -> Option<String> {
    if let Some(reply) = &job.reply {
        return Some(format!("{{\"job\":\"ended\",\"reply\":{reply}}}"));
    }
    if !over && !job.lines.are_due(seen) {
        return None;
    }
    let (count, lines) = job.lines.after(seen);
    let words = json!({"job": "running", "seen": count, "lines": lines});
    Some(Json::Object(object(words)).to_string())
}

/// Stops the run. The connection stays until the program has ended, which is how its end is seen.
fn leave(stream: &UnixStream) {
    if let Some(job) = lock().as_mut() {
        job.leave();
    }
    CHANGED.notify_all();
    while !hung_up(stream) {
        std::thread::sleep(LOOK);
    }
}

//! The same program, called to follow a job or to leave it.

use super::{Token, token::is_own};
use crate::reply;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;
use std::{
    io::{ErrorKind, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

/// Between two looks whether somebody reads what is followed.
const LOOK: Duration = Duration::from_millis(200);
/// How much longer than it was asked for a job may take to answer.
const SLACK: Duration = Duration::from_secs(10);

/// Does what the arguments ask for: `--follow <token> <lines seen> <seconds>`, or `--leave <token> <seconds>`.
pub(crate) fn answer(words: &[&str]) -> ! {
    let asked = match words {
        ["--follow", token, seen, wait] => {
            token_and(token, wait).zip(seen.parse().ok()).map(|(asked, seen)| (asked, Some(seen)))
        }
        ["--leave", token, wait] => token_and(token, wait).map(|asked| (asked, None)),
        _ => None,
    };
    match asked {
        Some(((token, wait), Some(seen))) => follow(token, seen, wait),
        Some(((token, wait), None)) => leave(token, wait),
        None => reply::fail(format!("there is no job to ask in {words:?}")),
    }
}

fn token_and(token: &str, seconds: &str) -> Option<(Token, u64)> {
    Token::read(token).zip(seconds.parse().ok())
}

/// Asks a job for its reply or for lines, and says what it answered.
fn follow(token: Token, seen: usize, wait: u64) -> ! {
    let answer = ask(token, &format!("follow {seen} {wait}"), Duration::from_secs(wait) + SLACK);
    reply::say(&match answer {
        Answer::Words(words) => words,
        Answer::Silence => json!({"job": "running", "seen": seen, "lines": []}).to_string(),
        Answer::Absent(why) => json!({"job": "absent", "why": why}).to_string(),
    })
}

/// Tells a job that nobody will follow it any more, and waits so long for its end.
fn leave(token: Token, wait: u64) -> ! {
    let state = match ask(token, "leave", Duration::from_secs(wait)) {
        Answer::Absent(_) => "absent",
        Answer::Words(_) => "ended",
        Answer::Silence => "running",
    };
    reply::say(&json!({"job": state}).to_string())
}

enum Answer {
    /// The whole of it. Of one who was left it is empty.
    Words(String),
    /// Nothing within the time.
    Silence,
    /// There is no such job, and how that shows.
    Absent(String),
}

fn ask(token: Token, question: &str, patience: Duration) -> Answer {
    let stream = match token.address().and_then(|name| UnixStream::connect_addr(&name)) {
        Ok(stream) if is_own(&stream) => stream,
        Ok(_) => return Answer::Absent("its socket belongs to another user".into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            return Answer::Absent("it has ended".into());
        }
        Err(error) => return Answer::Absent(format!("its socket cannot be reached: {error}")),
    };
    if let Err(error) = (&stream).write_all(format!("{question}\n").as_bytes()) {
        return Answer::Absent(format!("it does not listen: {error}"));
    }
    let until = Instant::now() + patience;
    while !is_readable(&stream) {
        if Instant::now() >= until || !reply::heard() {
            return Answer::Silence;
        }
    }
    let _ = stream.set_read_timeout(Some(SLACK));
    let mut words = String::new();
    match (&stream).read_to_string(&mut words) {
        Ok(0) if question != "leave" => Answer::Absent("it ended without a reply".into()),
        Ok(_) => Answer::Words(words),
        Err(_) if question == "leave" => Answer::Words(words),
        Err(error) => Answer::Absent(format!("its answer broke off: {error}")),
    }
}

/// Waits a little for an answer, or the end of the connection.
fn is_readable(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    let wait = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
    poll(&mut fds, wait).is_ok_and(|ready| ready > 0)
}

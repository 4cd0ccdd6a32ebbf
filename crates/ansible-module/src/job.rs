//! Job and follow: a run that takes long goes on by itself, and whoever wants to know asks for it.
//!
//! The shell that starts a program as a job waits for it. A run that ends within the *patience* replies as any other. One that takes longer *steps
//! aside*: it says so, lets go of the connection and ends the shell's wait. From then on it is asked over a socket, by the same program called with
//! `--follow`. A job cannot be forgotten: while nobody follows it makes no change, and left alone for too long it stops, as by a signal.
//!
//! The socket has a name and no file (the abstract namespace of Linux): a full or read-only disk is no obstacle, and nothing is left behind. Such a
//! socket has no permissions either, so that both ends look who the other is.

pub(crate) mod client;
mod follower;
mod lines;
mod token;

pub(crate) use token::Token;

use crate::{driver::Hearing, reply, secret};
use lines::Lines;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getppid, setsid},
};
use std::{
    fs::OpenOptions,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

static JOB: Mutex<Option<Job>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();
/// How often the doorman looks at the clock.
const LOOK: Duration = Duration::from_millis(200);

/// What a job was started with.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    token: Token,
    /// The shell that waits, and takes SIGUSR1 for the end of its wait.
    shell: Pid,
    patience: Duration,
    alone: Duration,
}

impl Terms {
    /// `<token> <process id of the shell> <patience in ms> <seconds alone>`.
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let [token, shell, patience, alone] = words else { return None };
        Some(Self {
            token: Token::read(token)?,
            shell: Pid::from_raw(shell.parse().ok().filter(|pid| *pid > 1)?),
            patience: Duration::from_millis(patience.parse().ok()?),
            alone: Duration::from_secs(alone.parse().ok()?),
        })
    }
}

/// Where a job is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It will reply as any other program.
    Attached,
    /// It replies to followers.
    Aside,
    /// Its reply is on its way to standard output.
    Replying,
}

struct Job {
    terms: Terms,
    /// Where followers come in, once the door is open.
    listener: Option<UnixListener>,
    stage: Stage,
    lines: Lines,
    /// The last word, as text.
    reply: Option<String>,
    /// Nobody will follow any more, because somebody said so, or for too long nobody did.
    left: bool,
    forgotten: bool,
    followers: Vec<Arc<UnixStream>>,
    alone_since: Instant,
    /// Ends the run.
    stop: Option<watch::Sender<bool>>,
}

/// Nothing that is done under this lock can panic or wait: the panic hook takes it, too.
fn lock() -> MutexGuard<'static, Option<Job>> {
    JOB.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the program a job. Where that cannot be, it is a program as any other: the shell waits for it all the same.
pub(crate) fn begin(terms: Terms) {
    let Ok(listener) = terms.token.address().and_then(|name| UnixListener::bind_addr(&name)) else {
        return;
    };
    // A terminal that goes, sudo's own included, takes its session with it.
    let _ = setsid();
    let now = Instant::now();
    *lock() = Some(Job {
        terms,
        listener: Some(listener),
        stage: Stage::Attached,
        lines: Lines::default(),
        reply: None,
        left: false,
        forgotten: false,
        followers: vec![],
        alone_since: now,
        stop: None,
    });
}

/// Lets followers in when the patience is over. Not before: a run that is short has no second thread whose end it would have to wait for.
pub(crate) async fn opens_its_door() {
    let Some(patience) = lock().as_ref().map(|job| job.terms.patience) else { return };
    tokio::time::sleep(patience).await;
    if let Some(job) = lock().as_mut() {
        job.open_the_door();
    }
}

/// Lets followers in, and knows when it is time.
fn doorman(listener: &UnixListener) {
    loop {
        let mut door = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
        if poll(&mut door, wait).is_ok_and(|ready| ready > 0)
            && let Ok((stream, _)) = listener.accept()
            && token::is_own(&stream)
        {
            let _ = std::thread::Builder::new().spawn(move || follower::attend(stream));
        }
        if let Some(job) = lock().as_mut() {
            job.look_at_the_clock();
        }
        CHANGED.notify_all();
    }
}

impl Job {
    /// Where that cannot be, it goes on as a program as any other.
    fn open_the_door(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        if std::thread::Builder::new().spawn(move || doorman(&listener)).is_ok() {
            self.step_aside();
        }
    }

    fn look_at_the_clock(&mut self) {
        self.followers.retain(|stream| !hung_up(stream));
        if !self.followers.is_empty() {
            self.alone_since = Instant::now();
        }
        if self.stage == Stage::Aside && self.alone_since.elapsed() >= self.terms.alone {
            self.forgotten |= !self.left;
            self.leave();
        }
    }

    /// Says where it can be followed, lets go of the connection and ends the shell's wait.
    fn step_aside(&mut self) {
        if self.stage != Stage::Attached {
            return;
        }
        let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
        self.stage = Stage::Aside;
        self.alone_since = Instant::now();
        reply::step_aside(&self.terms.token);
        let _ = (dup2_stdin(&null), dup2_stdout(&null), dup2_stderr(&null));
        // As long as it is the parent, no other process can have its number.
        if getppid() == self.terms.shell {
            let _ = kill(self.terms.shell, Signal::SIGUSR1);
        }
    }

    /// Nobody will ask any more.
    fn leave(&mut self) {
        self.left = true;
        if let Some(stop) = &self.stop {
            _ = stop.send(true);
        }
    }
}

/// Whether the other end of a connection has gone.
fn hung_up(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds.iter().any(|fd| {
            fd.revents().is_some_and(|events| {
                events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL)
            })
        })
}

/// Says what the run waits for, to whoever follows it. What stays the same is said once; secrets are taken out.
///
/// The driver says by itself which step it is at. This is for what takes long inside one call, such as a download. Nothing happens where nobody can follow.
pub fn waiting(text: &str) {
    if let Some(job) = lock().as_mut() {
        job.lines.say(&secret::scrub(text));
    }
    CHANGED.notify_all();
}

/// Has this channel told when the run shall stop.
pub(crate) fn stops(stop: watch::Sender<bool>) {
    if let Some(job) = lock().as_mut() {
        if job.left {
            _ = stop.send(true);
        }
        job.stop = Some(stop);
    }
}

/// Whether it was stopped because nobody followed it any more.
pub(crate) fn was_forgotten() -> bool {
    lock().as_ref().is_some_and(|job| job.forgotten)
}

/// Whether somebody listens.
pub(crate) fn hearing() -> Hearing {
    match lock().as_ref() {
        None => Hearing::on_the_line(reply::heard()),
        Some(job) if job.left => Hearing::NoMore,
        Some(job) if job.stage == Stage::Aside => {
            if job.followers.iter().any(|stream| !hung_up(stream)) {
                Hearing::Yes
            } else {
                Hearing::NotNow
            }
        }
        // The connection was lost early; a follower may come yet.
        Some(_) => {
            if reply::heard() {
                Hearing::Yes
            } else {
                Hearing::NotNow
            }
        }
    }
}

/// Takes the last word of a run that has stepped aside, and returns when nobody needs it any more. False: it goes to standard output.
pub(crate) fn takes(words: &str) -> bool {
    let mut job = lock();
    match job.as_mut() {
        None => return false,
        Some(job) => {
            if job.stage == Stage::Attached && !reply::heard() {
                job.open_the_door();
            }
            if job.stage != Stage::Aside {
                // From here on it does not.
                job.stage = Stage::Replying;
                return false;
            }
            job.reply = Some(words.to_owned());
        }
    }
    CHANGED.notify_all();
    while job.as_ref().is_some_and(|job| !job.left) {
        job = CHANGED.wait(job).unwrap_or_else(PoisonError::into_inner);
    }
    true
}

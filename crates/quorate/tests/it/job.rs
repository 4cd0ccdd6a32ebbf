//! A run that takes long: it steps aside, is followed, and is not forgotten.

use crate::program::{begin, over_stdin, reply, trouble, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

const SECRET: &str = "hunter2-and-more";
/// No shell waits for it.
const NO_SHELL: &str = "2";

/// A job over a file of its own.
struct Job {
    token: String,
    dir: TempDir,
}

impl Job {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = u64::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 32;
        let token = format!("{:032x}", number + u64::from(std::process::id()));
        Self { token, dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("file")
    }

    fn go(&self) {
        fs::write(self.file().with_extension("go"), "").unwrap();
    }

    fn lines(&self) -> usize {
        fs::read_to_string(self.file()).map_or(0, |text| text.lines().count())
    }

    fn request(&self, trouble: &str) -> Value {
        json!({"file": self.file(), "trouble": trouble, "password": SECRET})
    }

    /// Begins it under a shell as the collection does, and returns what was said when the shell ended.
    fn under_a_shell(&self, trouble_kind: &str, patience: &str, alone: &str) -> Output {
        let program = trouble();
        let line = std::iter::once(program.get_program()).chain(program.get_args());
        let words: Vec<_> = line.map(|word| word.to_str().unwrap()).collect();
        let script = format!(
            "trap 'exit 0' USR1; exec 3<&0; {} --job {} $$ {patience} {alone} - <&3 3<&- & exec 3<&-; wait $!; exit $?",
            words.join(" "),
            self.token
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        begin(&mut shell, &self.request(trouble_kind)).wait_with_output().unwrap()
    }

    /// Begins one that has stepped aside at once.
    fn aside(trouble_kind: &str, alone: &str) -> Self {
        let job = Self::new();
        let output = job.under_a_shell(trouble_kind, "0", alone);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            (said, output.status.code(), output.stderr.len()),
            (format!("quorate: job {}\n", job.token), Some(0), 0)
        );
        job
    }

    /// Its process id.
    fn process(&self) -> String {
        let mut all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| {
            let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            line.contains("\0--job\0") && line.contains(&self.token) && !line.starts_with("sh\0")
        };
        all.find(is_it).unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Follows it until it waits for the file: alone it would not write its first line.
    fn begun(&self) {
        until("the first line", || {
            self.follow("99", "1");
            self.lines() == 1
        });
    }

    fn ask(&self, words: &[&str]) -> Command {
        let mut command = trouble();
        command.arg(words[0]).arg(&self.token).args(&words[1..]).stdin(Stdio::null());
        command
    }

    fn follow(&self, seen: &str, seconds: &str) -> Value {
        told(&self.ask(&["--follow", seen, seconds]).output().unwrap())
    }

    fn leave(&self) -> Value {
        told(&self.ask(&["--leave", "20"]).output().unwrap())
    }

    /// Follows it to its end.
    fn reply(&self) -> Value {
        let (mut seen, mut reply) = (Value::from(0), Value::Null);
        until("the reply", || {
            let said = self.follow(&seen.to_string(), "5");
            (seen, reply) = (said["seen"].clone(), said["reply"].clone());
            assert_ne!(said["job"], "absent", "{said}");
            said["job"] == "ended"
        });
        reply
    }
}

fn told(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.lines().count() == 1 && output.stderr.is_empty(), "{output:?}");
    serde_json::from_str(&said).unwrap()
}

fn is_gone(job: &Job) -> bool {
    job.follow("0", "0")["job"] == "absent"
}

#[test]
fn a_short_one_replies_as_any_other_program() {
    let job = Job::new();
    let output = job.under_a_shell("none", "60000", "60");
    let (reply, status) = reply(&output);
    assert_eq!((status, &reply["changed"], job.lines()), (0, &json!(true), 2), "{reply}");
    assert!(is_gone(&job));
    let job = Job::new();
    let mut command = trouble();
    command.args(["--job", &job.token, NO_SHELL, "60000", "60"]);
    assert_eq!(over_stdin(command, &job.request("panic")).1, 1);
}

#[test]
fn a_long_one_lets_go_of_the_shell_and_is_followed_to_its_one_reply() {
    let job = Job::aside("wait", "60");
    // What it waits for is told, and told again to who has not seen it.
    let mut lines = Value::Null;
    until("the line", || {
        lines = job.follow("0", "5")["lines"].clone();
        lines.to_string().contains("wait for a file: 1 line is there")
    });
    job.go();
    let reply = job.reply();
    assert_eq!((&reply["changed"], &reply["failed"]), (&json!(true), &json!(false)), "{reply}");
    assert_eq!((&reply["steps"][1], job.lines()), (&json!("write line 2"), 2));
    // Until somebody says that it has arrived, it can be had again.
    assert_eq!(job.reply(), reply);
    assert_eq!(job.leave(), json!({"job": "ended"}));
    assert!(is_gone(&job));
}

#[test]
fn a_follower_that_is_lost_costs_nothing() {
    let job = Job::aside("wait", "60");
    job.begun();
    let mut lost: Child = job.ask(&["--follow", "99", "60"]).spawn().unwrap();
    lost.kill().unwrap();
    let mut said = String::new();
    lost.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!lost.wait().unwrap().success() && said.is_empty());
    job.go();
    assert_eq!(job.reply()["failed"], false);
    job.leave();
}

#[test]
fn a_follower_that_nobody_reads_ends() {
    let job = Job::aside("wait", "60");
    let mut follower = job.ask(&["--follow", "99", "60"]).spawn().unwrap();
    drop(follower.stdout.take());
    assert!(follower.wait().is_ok());
    assert_eq!(job.leave(), json!({"job": "ended"}));
}

#[test]
fn who_leaves_ends_the_run() {
    let job = Job::aside("wait", "60");
    job.begun();
    assert_eq!(job.leave(), json!({"job": "ended"}));
    job.go();
    assert!(is_gone(&job) && job.lines() == 1);
    assert_eq!(job.leave(), json!({"job": "absent"}));
}

#[test]
fn who_leaves_early_is_heard_when_the_patience_is_over() {
    let job = Job::new();
    let mut command = trouble();
    command.args(["--job", &job.token, NO_SHELL, "500", "60", "-"]);
    let child = begin(&mut command, &job.request("wait"));
    until("the first line", || job.lines() == 1);
    assert_eq!(job.leave(), json!({"job": "ended"}));
    assert!(child.wait_with_output().is_ok() && job.lines() == 1);
}

#[test]
fn one_whose_first_word_was_lost_is_found_by_its_name() {
    let job = Job::new();
    let mut command = trouble();
    command.args(["--job", &job.token, NO_SHELL, "500", "60", "-"]);
    let mut child = begin(&mut command, &job.request("wait"));
    until("the first line", || job.lines() == 1);
    drop(child.stdout.take());
    job.go();
    assert_eq!(job.reply()["steps"][1], "write line 2");
    job.leave();
    assert!(child.wait().is_ok() && job.lines() == 2);
}

#[test]
fn one_that_nobody_follows_ends_by_itself_and_changes_nothing_meanwhile() {
    let job = Job::aside("wait", "1");
    until("the first line", || job.lines() <= 1 && socket_is_gone(&job.token));
    job.go();
    assert!(is_gone(&job) && job.lines() <= 1);
}

/// Seen without following it.
fn socket_is_gone(token: &str) -> bool {
    !fs::read_to_string("/proc/net/unix").unwrap().contains(token)
}

#[test]
fn a_panic_and_a_signal_are_replies_too() {
    let job = Job::aside("panic_late", "60");
    job.begun();
    job.go();
    let reply = job.reply();
    assert!(reply["msg"].as_str().unwrap().contains("a bug in the module"), "{reply}");
    assert!(!reply.to_string().contains(SECRET));
    job.leave();
    let job = Job::aside("wait", "60");
    job.begun();
    let kill = Command::new("kill").args(["-s", "TERM", &job.process()]).status();
    assert!(kill.unwrap().success());
    let reply = job.reply();
    assert!(reply["msg"].as_str().unwrap().contains("stopped by a signal"), "{reply}");
    job.leave();
}

#[test]
fn secrets_are_in_no_line_and_who_wants_no_lines_gets_none() {
    let job = Job::aside("wait_inside", "60");
    let mut lines = Value::Null;
    until("the line", || {
        lines = job.follow("0", "5")["lines"].clone();
        lines.to_string().contains("log in with ********")
    });
    assert!(!lines.to_string().contains(SECRET), "{lines}");
    assert_eq!(job.follow("1000000", "0")["lines"], json!([]));
    job.go();
    assert!(!job.reply().to_string().contains(SECRET));
    job.leave();
}

#[test]
fn what_is_no_token_finds_no_job() {
    for words in [["--follow", "../../x", "0", "1"], ["--follow", "", "0", "1"]] {
        let (reply, status) = reply(&trouble().args(words).output().unwrap());
        assert!(status == 1 && reply["msg"].as_str().unwrap().contains("no job"), "{reply}");
    }
    assert!(Path::new("/proc/net/unix").exists());
}

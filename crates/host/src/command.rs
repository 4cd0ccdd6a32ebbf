//! The only spawner of the product.

use std::{fmt, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Child,
    time::timeout,
};

/// How much of standard output is kept; the rest is read and dropped, so that the program never blocks on a full pipe.
const KEEP_STDOUT: usize = 4 << 20;
/// How much of the end of standard error is kept.
const KEEP_STDERR: usize = 16 << 10;
/// How much of the end of standard error an error message carries.
const SHOW_STDERR: usize = 1 << 10;
/// What a login shell of root would search: ssh and systemd hand over less, and kubeadm itself looks for `conntrack` and `mount`.
const PATHS: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program to run, to its end, within a deadline.
///
/// The argument list is shown in errors whole: a secret goes to [`Command::stdin`] or into a file, never into an argument.
/// The environment is not shown.
pub struct Command {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    deadline: Duration,
}

/// What a program that was run to its end left behind.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The first 4 MiB of standard output.
    pub stdout: Vec<u8>,
    /// The last 16 KiB of standard error.
    pub stderr: Vec<u8>,
}

/// Why a program did not do what it was run for.
#[derive(Debug)]
pub struct Failed {
    /// The argument list, as one line.
    pub argv: String,
    /// What happened.
    pub why: Why,
}

/// What kept a program from succeeding.
#[derive(Debug)]
pub enum Why {
    /// It could not be started: not installed, not executable.
    NotStarted(std::io::Error),
    /// Its pipes or its status could not be read.
    Lost(std::io::Error),
    /// It was still running at its deadline and was killed.
    TooSlow(Duration),
    /// It ended with another status than 0.
    Status(Output),
}

impl Command {
    /// A program with no arguments, the environment of this process, no input and 30 s to end in.
    pub fn new(program: impl Into<String>) -> Self {
        let env = vec![
            ("LC_ALL".into(), "C".into()),
            ("PATH".into(), search_path(std::env::var("PATH").ok().as_deref())),
        ];
        Self { argv: vec![program.into()], env, stdin: vec![], deadline: Duration::from_secs(30) }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Feeds these bytes to standard input; without, it is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets how long the program may take before it is killed.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the program to its end, whatever its status. It is killed when the future is dropped.
    ///
    /// # Errors
    /// The program could not be started, its pipes broke, or the deadline passed.
    pub async fn output(self) -> Result<Output, Failed> {
        let argv = show(&self.argv);
        let failed = |why| Failed { argv: argv.clone(), why };
        let mut child = self.spawn().map_err(|error| failed(Why::NotStarted(error)))?;
        if let Ok(output) = timeout(self.deadline, finish(&mut child, &self.stdin)).await {
            return output.map_err(|error| failed(Why::Lost(error)));
        }
        // Reaped here: a zombie would stay for as long as the runtime lives.
        let _ = child.kill().await;
        Err(failed(Why::TooSlow(self.deadline)))
    }

    /// Runs the program to its end and expects the status 0.
    ///
    /// # Errors
    /// As [`Command::output`], or the status is another one.
    pub async fn run(self) -> Result<Output, Failed> {
        let argv = show(&self.argv);
        let output = self.output().await?;
        if output.is_success() {
            Ok(output)
        } else {
            Err(Failed { argv, why: Why::Status(output) })
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let (program, args) = self.argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = tokio::process::Command::new(program);
        command.args(args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn()
    }
}

impl Output {
    /// Whether the program ended by itself with the status 0.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as text, without white space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// The last 1 KiB of standard error as text.
    pub fn last_words(&self) -> String {
        let from = self.stderr.len().saturating_sub(SHOW_STDERR);
        String::from_utf8_lossy(self.stderr.get(from..).unwrap_or_default()).trim().to_owned()
    }
}

/// The sizes only: what a program printed may hold a secret.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("code", &self.code)
            .field("signal", &self.signal)
            .field("stdout_len", &self.stdout.len())
            .field("stderr_len", &self.stderr.len())
            .finish()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argv = &self.argv;
        match &self.why {
            Why::NotStarted(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let program = argv.split(' ').next().unwrap_or(argv);
                write!(f, "run `{argv}`: no program `{program}` on this host")
            }
            Why::NotStarted(error) => write!(f, "start `{argv}`: {error}"),
            Why::Lost(error) => write!(f, "read from `{argv}`: {error}"),
            Why::TooSlow(after) => {
                write!(f, "run `{argv}`: killed, it had not ended after {} s", after.as_secs())
            }
            Why::Status(output) => {
                let words = output.last_words();
                match (output.code, output.signal) {
                    (Some(code), _) => write!(f, "run `{argv}`: exit status {code}")?,
                    (None, signal) => {
                        write!(f, "run `{argv}`: ended by signal {}", signal.unwrap_or(0))?;
                    }
                }
                if words.is_empty() { Ok(()) } else { write!(f, ": {words}") }
            }
        }
    }
}

impl std::error::Error for Failed {}

async fn finish(child: &mut Child, input: &[u8]) -> std::io::Result<Output> {
    use std::os::unix::process::ExitStatusExt;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut pipe) = stdin {
            // A program that ends without reading all of its input breaks the pipe: its status tells the rest.
            let _ = pipe.write_all(input).await;
        }
    };
    let ((), stdout, stderr) =
        tokio::join!(feed, keep_first(stdout, KEEP_STDOUT), keep_last(stderr, KEEP_STDERR));
    let status = child.wait().await?;
    Ok(Output { code: status.code(), signal: status.signal(), stdout: stdout?, stderr: stderr? })
}

async fn keep_first(
    pipe: Option<impl AsyncRead + Unpin>,
    limit: usize,
) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(kept) };
    let mut chunk = vec![0; 16 << 10];
    loop {
        let length = pipe.read(&mut chunk).await?;
        let room = limit.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
        if length == 0 {
            return Ok(kept);
        }
    }
}

async fn keep_last(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(kept) };
    let mut chunk = vec![0; 4 << 10];
    loop {
        let length = pipe.read(&mut chunk).await?;
        kept.extend_from_slice(chunk.get(..length).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(limit));
        if length == 0 {
            return Ok(kept);
        }
    }
}

fn show(argv: &[String]) -> String {
    argv.join(" ")
}

/// The given search path, and after it what root needs and it lacks.
fn search_path(given: Option<&str>) -> String {
    let given: Vec<_> =
        given.unwrap_or_default().split(':').filter(|part| !part.is_empty()).collect();
    let lacking = PATHS.into_iter().filter(|path| !given.contains(path));
    given.iter().copied().chain(lacking).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn shell(script: &str) -> Command {
        Command::new("sh").arg("-c").arg(script)
    }

    #[test]
    fn input_goes_in_and_both_outputs_come_out() {
        let output = block_on(shell("cat; echo word >&2").stdin("in").run()).unwrap();
        assert_eq!((output.text().as_str(), output.last_words().as_str()), ("in", "word"));
    }

    #[test]
    fn another_status_is_an_error_with_the_last_words() {
        let error = block_on(shell("echo broken >&2; exit 3").run()).unwrap_err();
        assert_eq!(error.to_string(), "run `sh -c echo broken >&2; exit 3`: exit status 3: broken");
        assert_eq!(block_on(shell("exit 3").output()).unwrap().code, Some(3));
    }

    #[test]
    fn a_signal_is_named() {
        let error = block_on(shell("kill -9 $$").run()).unwrap_err();
        assert_eq!(error.to_string(), "run `sh -c kill -9 $$`: ended by signal 9");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = block_on(Command::new("no-such-program").arg("x").run()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "run `no-such-program x`: no program `no-such-program` on this host"
        );
    }

    #[test]
    fn the_deadline_kills() {
        let start = Instant::now();
        let error =
            block_on(Command::new("sleep").arg("30").deadline(Duration::from_secs(1)).run())
                .unwrap_err();
        assert_eq!(error.to_string(), "run `sleep 30`: killed, it had not ended after 1 s");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn output_is_bounded_and_never_blocks_the_program() {
        let output = block_on(
            shell("head -c 8388608 /dev/zero; head -c 100000 /dev/zero >&2; echo end >&2").run(),
        )
        .unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (KEEP_STDOUT, KEEP_STDERR));
        assert!(output.last_words().ends_with("end"));
    }

    #[test]
    fn input_that_nobody_reads_is_no_error() {
        assert!(block_on(Command::new("true").stdin(vec![0; 1 << 20]).run()).is_ok());
    }

    #[test]
    fn the_search_path_keeps_its_order_and_gains_what_root_needs() {
        let lacking = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin";
        assert_eq!(
            search_path(Some("/opt/bin:/usr/bin:/bin")),
            format!("/opt/bin:/usr/bin:/bin:{lacking}")
        );
    }

    #[test]
    fn debug_shows_no_content() {
        let output = block_on(shell("echo hidden").run()).unwrap();
        assert!(!format!("{output:?}").contains("hidden"));
    }
}

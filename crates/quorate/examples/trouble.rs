//! A module for the protocol tests, with every way to end badly; it is no part of any program that ships.

use ansible_module::{
    Applied, BadArgs, Entry, Kind, Limit, Module, Options, Refusal, Returns, Secret,
};
use serde::Serialize;
use std::{
    fmt, fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Writes lines into a file, and gets into trouble.
#[derive(Options, Debug)]
struct Args {
    /// What happens after the first line.
    #[option(default = "none")]
    trouble: Trouble,
    /// The file.
    file: PathBuf,
    /// A secret that the trouble tries to tell.
    password: Option<Secret>,
    /// A text of any length.
    #[expect(dead_code, reason = "only its size matters")]
    ballast: Option<String>,
}

/// Kinds of trouble.
#[derive(Options, Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// None at all.
    None,
    /// A panic in the module's own thread.
    Panic,
    /// A panic on another thread.
    PanicElsewhere,
    /// None, but the second line waits for a file of this name that ends in C(.go).
    Wait,
    /// None, but the call that writes the second line waits for the file, and tells the secret meanwhile.
    WaitInside,
    /// A panic after the same wait.
    PanicLate,
    /// A call fails, and its error holds the secret.
    Fault,
    /// A program that is run says something that is no UTF-8, and fails.
    Noise,
    /// None, but the result is longer than C(8 MB).
    Flood,
}

#[derive(Clone)]
struct Observed {
    lines: usize,
    go: bool,
    flood: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Step {
    Line(usize),
    Wait,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "write line {number}"),
            Self::Wait => f.write_str("wait for a file"),
        }
    }
}

/// What is in the file.
#[derive(Serialize, Returns, PartialEq, Eq)]
struct View {
    /// How many lines there are.
    lines: usize,
    /// Of no use.
    flood: Option<String>,
}

/// What the calls need to know.
struct Scribe {
    file: PathBuf,
    trouble: Trouble,
    password: Option<Secret>,
}

impl Module for Scribe {
    const NAME: &'static str = "trouble";
    const EXAMPLES: &'static str = "- trouble:\n    file: /tmp/x\n";
    type Args = Args;
    type Wanted = Args;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, _: SystemTime) -> Result<Args, BadArgs> {
        Ok(args)
    }

    fn plan(wanted: &Args, observed: &Observed) -> Result<Vec<Step>, Refusal> {
        if observed.lines > 2 {
            return Err(Refusal::finally("too_long", "the file has more than 2 lines"));
        }
        let wait = wanted.trouble == Trouble::Wait && !observed.go;
        let steps = [Step::Line(1), Step::Wait, Step::Line(2)].into_iter();
        Ok(steps
            .filter(|step| match step {
                Step::Line(number) => observed.lines < *number,
                Step::Wait => wait,
            })
            .collect())
    }

    fn project(observed: &Observed, step: &Step) -> Observed {
        match step {
            Step::Line(number) => Observed { lines: *number, ..*observed },
            Step::Wait => Observed { go: true, ..*observed },
        }
    }

    fn view(observed: &Observed) -> View {
        View { lines: observed.lines, flood: observed.flood.then(|| "x".repeat(9_000_000)) }
    }

    fn kind(step: &Step) -> Kind {
        if *step == Step::Wait { Kind::Wait } else { Kind::Change }
    }

    fn seen(_: &Args, observed: &Observed, step: &Step) -> Option<String> {
        (*step == Step::Wait).then(|| format!("{} line is there", observed.lines))
    }

    fn limit(_: &Args, _: &Observed, _: &Step) -> Limit {
        Limit::fail(Duration::from_mins(1))
    }

    async fn open(wanted: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            file: wanted.file.clone(),
            trouble: wanted.trouble,
            password: wanted.password.clone(),
        })
    }

    async fn observe(&mut self, wanted: &Args) -> anyhow::Result<Observed> {
        let lines = fs::read_to_string(&wanted.file).map_or(0, |text| text.lines().count());
        let flood = wanted.trouble == Trouble::Flood;
        Ok(Observed { lines, go: go_file(&wanted.file).exists(), flood })
    }

    async fn apply(&mut self, step: &Step, _: &Observed) -> anyhow::Result<Applied> {
        if *step == Step::Line(2) {
            self.get_into_trouble().await?;
        }
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.file)?;
        writeln!(file, "{step}")?;
        Ok(Applied::Sent)
    }
}

impl Scribe {
    #[expect(clippy::panic, reason = "that is what it is for")]
    async fn get_into_trouble(&self) -> anyhow::Result<()> {
        let secret = self.password.as_ref().map_or("", Secret::expose);
        match self.trouble {
            Trouble::None | Trouble::Wait | Trouble::Flood => {}
            Trouble::WaitInside | Trouble::PanicLate => {
                ansible_module::waiting(&format!("log in with {secret}"));
                while !go_file(&self.file).exists() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                assert!(self.trouble == Trouble::WaitInside, "the secret is {secret}");
            }
            Trouble::Panic => panic!("the secret is {secret}"),
            Trouble::PanicElsewhere => {
                let secret = secret.to_owned();
                let _ = std::thread::spawn(move || panic!("the secret is {secret}")).join();
            }
            Trouble::Fault => anyhow::bail!("log in with {secret:?}"),
            Trouble::Noise => {
                let noise = format!("printf '\\377\\376 {secret} \\303' >&2; exit 3");
                host::command::Command::new("sh").arg("-c").arg(noise).run().await?;
            }
        }
        Ok(())
    }
}

fn go_file(file: &Path) -> PathBuf {
    file.with_extension("go")
}

fn main() {
    ansible_module::main(&[Entry::of::<Scribe>()])
}

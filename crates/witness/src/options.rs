//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::clients::etcd::Endpoints;

/// What `witness --help` says.
pub const USAGE: &str = "\
usage: witness watch  --kubeconfig FILE --events FILE.jsonl [--server URL] [--namespace NAME]
                      [--haproxy SOCKET-or-HOST:PORT] [--backend NAME]
                      [--etcd URL]... [--etcd-ca FILE --etcd-cert FILE --etcd-key FILE]
                      [--interval-ms 50] [--write-interval-ms 200] [--timeout-seconds 10] [--deadline-seconds 1800]
       witness verify --kubeconfig FILE --events FILE.jsonl --member URL... [--etcd URL]... [--etcd-ca ...]
       witness report --events FILE.jsonl --steps FILE.jsonl --facts FILE.json --out DIRECTORY
       witness status --events FILE.jsonl
";

/// One subcommand with what it needs.
#[derive(Debug)]
pub enum Command {
    /// Runs the clients.
    Watch(Watch),
    /// Looks for every acknowledged write on every member.
    Verify(Verify),
    /// Judges.
    Report(Report),
    /// One line about a run under way.
    Status(PathBuf),
    /// The usage.
    Help,
}

/// Options of `watch`.
#[derive(Debug)]
pub struct Watch {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// Replaces the kubeconfig's address.
    pub server: Option<String>,
    /// The events file.
    pub events: PathBuf,
    /// The writer's namespace.
    pub namespace: String,
    /// `HAProxy`'s runtime socket.
    pub haproxy: Option<String>,
    /// The backend to follow there.
    pub backend: String,
    /// The etcd members to follow.
    pub etcd: Endpoints,
    /// The pause between two requests of a reading client.
    pub every: Duration,
    /// The pause between two writes.
    pub write_every: Duration,
    /// How long one attempt may take.
    pub limit: Duration,
    /// How long the run may take.
    pub deadline: Duration,
}

/// Options of `verify`.
#[derive(Debug)]
pub struct Verify {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The events file, read and appended to.
    pub events: PathBuf,
    /// Each control-plane member's own apiserver.
    pub members: Vec<String>,
    /// The etcd members to read.
    pub etcd: Endpoints,
}

/// Options of `report`.
#[derive(Debug)]
pub struct Report {
    /// The events file.
    pub events: PathBuf,
    /// The steps file.
    pub steps: PathBuf,
    /// The facts file.
    pub facts: PathBuf,
    /// Where report.json and report.html go.
    pub out: PathBuf,
}

/// `--name value` pairs that have not been asked for yet.
struct Given(Vec<(String, String)>);

impl Given {
    fn read(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut words = words.peekable();
        let mut given = Vec::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else { bail!("unexpected {word:?}") };
            // A list may follow one name (`--member A B C`), as shells expand it.
            let mut values = 0;
            while let Some(value) = words.next_if(|next| !next.starts_with("--")) {
                given.push((name.to_string(), value));
                values += 1;
            }
            if values == 0 {
                bail!("--{name} needs a value");
            }
        }
        Ok(Self(given))
    }

    fn all(&mut self, name: &str) -> Vec<String> {
        let taken = self.0.extract_if(.., |(given, _)| given == name);
        // Commas as well, for one who writes the list as one word.
        taken
            .flat_map(|(_, value)| value.split(',').map(str::to_string).collect::<Vec<_>>())
            .collect()
    }

    fn one(&mut self, name: &str) -> anyhow::Result<Option<String>> {
        let mut values: Vec<String> =
            self.0.extract_if(.., |(given, _)| given == name).map(|(_, value)| value).collect();
        let value = values.pop();
        if values.is_empty() {
            Ok(value)
        } else {
            Err(anyhow!("--{name} was given more than once"))
        }
    }

    fn path(&mut self, name: &str) -> anyhow::Result<PathBuf> {
        self.one(name)?.map(PathBuf::from).ok_or_else(|| anyhow!("--{name} is missing"))
    }

    fn number(&mut self, name: &str, default: u64) -> anyhow::Result<u64> {
        let Some(value) = self.one(name)? else { return Ok(default) };
        let number =
            value.parse().with_context(|| format!("--{name} {value:?} is not a whole number"))?;
        if number == 0 { Err(anyhow!("--{name} must be at least 1")) } else { Ok(number) }
    }

    fn etcd(&mut self) -> anyhow::Result<Endpoints> {
        let urls = self.all("etcd");
        if urls.is_empty() {
            return Ok(Endpoints::default());
        }
        Ok(Endpoints {
            urls,
            ca: self.path("etcd-ca")?,
            cert: self.path("etcd-cert")?,
            key: self.path("etcd-key")?,
        })
    }

    fn end(self) -> anyhow::Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => bail!("unknown option --{name}"),
        }
    }
}

impl Command {
    /// Reads the words after the program's name.
    pub fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let name = words.next().unwrap_or_default();
        if matches!(name.as_str(), "" | "help" | "--help" | "-h") {
            return Ok(Self::Help);
        }
        let mut given = Given::read(words)?;
        let command = match name.as_str() {
            "watch" => Self::Watch(watch(&mut given)?),
            "verify" => Self::Verify(verify(&mut given)?),
            "report" => Self::Report(Report {
                events: given.path("events")?,
                steps: given.path("steps")?,
                facts: given.path("facts")?,
                out: given.path("out")?,
            }),
            "status" => Self::Status(given.path("events")?),
            _ => bail!("unknown subcommand {name:?}"),
        };
        given.end()?;
        Ok(command)
    }
}

fn watch(given: &mut Given) -> anyhow::Result<Watch> {
    Ok(Watch {
        kubeconfig: given.path("kubeconfig")?,
        server: given.one("server")?,
        events: given.path("events")?,
        namespace: given.one("namespace")?.unwrap_or_else(|| "quorate-witness".into()),
        haproxy: given.one("haproxy")?,
        backend: given.one("backend")?.unwrap_or_else(|| "kube-apiserver".into()),
        etcd: given.etcd()?,
        every: Duration::from_millis(given.number("interval-ms", 50)?.max(20)),
        write_every: Duration::from_millis(given.number("write-interval-ms", 200)?.max(20)),
        limit: Duration::from_secs(given.number("timeout-seconds", 10)?),
        deadline: Duration::from_secs(given.number("deadline-seconds", 1800)?),
    })
}

fn verify(given: &mut Given) -> anyhow::Result<Verify> {
    let mut members = given.all("member");
    members.extend(given.all("members"));
    if members.is_empty() {
        bail!("--member is missing");
    }
    Ok(Verify {
        kubeconfig: given.path("kubeconfig")?,
        events: given.path("events")?,
        members,
        etcd: given.etcd()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> anyhow::Result<Command> {
        Command::read(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn lists_come_as_repeated_options_as_words_and_with_commas() {
        for line in ["--member a --member b", "--members a b", "--members a,b"] {
            let line = format!("verify --kubeconfig k --events e {line}");
            let Command::Verify(verify) = read(&line).unwrap() else { panic!("{line}") };
            assert_eq!(verify.members, ["a", "b"], "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, said) in [
            ("watch --kubeconfig k", "--events is missing"),
            ("watch --kubeconfig k --events e --evnts e", "unknown option --evnts"),
            ("watch --kubeconfig k --events e --interval-ms x", "not a whole number"),
            ("watch --kubeconfig k --events e --etcd https://a", "--etcd-ca is missing"),
            ("verify --kubeconfig k --events e", "--member is missing"),
            ("status --events a --events b", "more than once"),
            ("look", "unknown subcommand"),
            ("status --events", "needs a value"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}

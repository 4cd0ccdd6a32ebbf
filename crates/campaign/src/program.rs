//! Runs of our program, as Ansible starts it.

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Ended {
    /// We killed it, or it took longer than any run may.
    Killed,
    /// It replied, and did not fail.
    Done {
        /// Whether it says that it changed something.
        changed: bool,
        /// All it said.
        reply: Value,
    },
    /// It said no, with this code and sentence.
    Refused(String, String),
    /// It failed, with this message.
    Failed(String),
}

/// A run that has ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// How.
    pub ended: Ended,
    /// After how long.
    pub took: Duration,
}

/// Longer than the timeout that every call is given.
const LONGEST: Duration = Duration::from_secs(100);

/// A call of one module.
#[derive(Clone, Debug)]
pub struct Call {
    program: PathBuf,
    request: Map<String, Value>,
    out: PathBuf,
}

impl Call {
    /// A call with these arguments; what it says goes to a file in that directory.
    pub fn new(
        program: &Path,
        module: &str,
        arguments: Map<String, Value>,
        scratch: &Path,
    ) -> Self {
        let mut request = arguments;
        request
            .insert("_ansible_module_name".into(), format!("quorate.controlplane.{module}").into());
        Self { program: program.to_owned(), request, out: scratch.join("reply.json") }
    }

    /// Runs it, and kills it after that time.
    pub async fn run(&self, kill_after: Option<Duration>) -> anyhow::Result<Run> {
        let began = Instant::now();
        let ended = self.ended(kill_after).await?;
        Ok(Run { ended, took: began.elapsed() })
    }

    async fn ended(&self, kill_after: Option<Duration>) -> anyhow::Result<Ended> {
        let mut child = self.start()?;
        let began = Instant::now();
        let at_most = kill_after.unwrap_or(LONGEST);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() >= at_most {
                child.kill()?;
                child.wait()?;
                return Ok(Ended::Killed);
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        };
        let said = fs::read_to_string(&self.out)?;
        let reply: Value = serde_json::from_str(&said)
            .with_context(|| format!("the program ended with {status} and said {said:?}"))?;
        ended(reply)
    }

    fn start(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        let out = fs::File::create(&self.out)?;
        command.arg("-").stdin(Stdio::piped()).stdout(out.try_clone()?).stderr(out);
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        let mut stdin = child.stdin.take().context("the program has no standard input")?;
        stdin.write_all(serde_json::to_string(&self.request)?.as_bytes())?;
        Ok(child)
    }
}

/// Reads a reply.
fn ended(reply: Value) -> anyhow::Result<Ended> {
    let flag = |key: &str| reply.get(key).and_then(Value::as_bool);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (Some(changed), Some(failed)) = (flag("changed"), flag("failed")) else {
        bail!("the reply has no changed and failed: {reply}");
    };
    let refusal = reply.get("refusal").filter(|refusal| refusal.is_object());
    Ok(match (failed, refusal) {
        (false, _) => Ended::Done { changed, reply },
        (true, Some(refusal)) => Ended::Refused(text(refusal.get("code")), text(reply.get("msg"))),
        (true, None) => Ended::Failed(text(reply.get("msg"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reply_is_done_refused_or_failed() {
        let done = json!({"changed": true, "failed": false});
        assert_eq!(ended(done.clone()).unwrap(), Ended::Done { changed: true, reply: done });
        let no =
            json!({"changed": false, "failed": true, "msg": "no", "refusal": {"code": "quorum"}});
        assert_eq!(ended(no).unwrap(), Ended::Refused("quorum".into(), "no".into()));
        let bad = json!({"changed": false, "failed": true, "msg": "cut"});
        assert_eq!(ended(bad).unwrap(), Ended::Failed("cut".into()));
        assert!(ended(json!({"failed": true})).is_err());
    }
}

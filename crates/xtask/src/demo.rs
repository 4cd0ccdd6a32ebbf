//! `cargo xtask demo`: a broken control-plane node replaced while the API is under watch, and the evidence.

use crate::{
    ansible::{Ansible, HaproxySocket, LAB_RUN},
    deps,
    replacement::Replacement,
    run::{ask, execute, is_root, now, run_reading, say, target_dir, wait_until},
    spec::field,
    stage,
    steps::Tally,
};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const TARGET: &str = "cp2";
const PEER: &str = "cp1";
/// The mistake of every near disaster: one more member removed while another is away.
const ANOTHER: &str = "cp3";
const MEMBERS: [(&str, &str); 3] =
    [("cp1", "198.18.0.11"), ("cp2", "198.18.0.12"), ("cp3", "198.18.0.13")];
/// How long the API is watched before the fault and after the second run.
const CALM: Duration = Duration::from_secs(4);
/// A disk fault that nobody notices within this time is no fault.
const FAULT_SHOWS: Duration = Duration::from_mins(1);

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let known = ["--keep", "--dev"];
    if let Some(other) = args.iter().find(|arg| !known.contains(&arg.as_str())) {
        bail!(
            "unknown argument {other:?}: [--keep] leaves the lab up, [--dev] takes the development build"
        );
    }
    let (keep, dev) =
        (args.iter().any(|arg| arg == "--keep"), args.iter().any(|arg| arg == "--dev"));
    if !is_root() {
        bail!("the demo boots hosts and needs root; \"cargo xtask test --no-lab\" runs without");
    }
    deps::all(true)?;
    let demo = Demo::new(if dev { stage::dev()? } else { stage::release_here()? }, "demo")?;
    demo.phase("boot three control planes, a load balancer and a Proxmox VE API");
    execute(&mut demo.ansible.lab(&["up"]))?;
    let told = demo.show();
    if !keep {
        execute(&mut demo.ansible.lab(&["down"]))?;
    }
    told
}

/// The same as a step of `cargo xtask test`, with the development build.
pub fn as_test() -> anyhow::Result<Tally> {
    let demo = Demo::new(stage::dev()?, "main-job")?;
    execute(&mut demo.ansible.lab(&["up"]))?;
    demo.show()?;
    Ok(Tally::ONE)
}

/// One demonstration under way.
pub struct Demo {
    pub ansible: Ansible,
    began: Instant,
}

/// What is found out on the way.
#[derive(Default)]
struct Story {
    fault_at: f64,
    replaced: (f64, f64),
    quiet: f64,
    second: Value,
    refusals: Vec<Value>,
    evidence: Vec<Value>,
}

impl Demo {
    pub fn new(stage: PathBuf, name: &str) -> anyhow::Result<Self> {
        Ok(Self { ansible: Ansible::new(stage, target_dir().join(name))?, began: Instant::now() })
    }

    fn phase(&self, text: &str) {
        say(&format!("\n[{:5.1} s] {text}", self.began.elapsed().as_secs_f64()));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.ansible.dir.join(name)
    }

    /// The whole story, over a lab that is up.
    fn show(&self) -> anyhow::Result<()> {
        self.phase("watch the API through the load balancer");
        let watching = Watching::begin(self)?;
        sleep(CALM);
        let mut story = Story::default();
        self.break_disk(&mut story)?;
        self.try_mistake(&mut story)?;
        self.replace(&mut story)?;
        self.again(&mut story)?;
        sleep(CALM);
        self.phase("stop watching, and look for every write on every member");
        watching.end(self)?;
        let verified = self.verify()?;
        self.report(&story)?;
        if !verified {
            bail!(
                "an acknowledged write is missing on a member: {}",
                self.file("events.jsonl").display()
            );
        }
        Ok(())
    }

    fn break_disk(&self, story: &mut Story) -> anyhow::Result<()> {
        self.phase(&format!("damage the disk beneath etcd's database on {TARGET}"));
        story.fault_at = now();
        execute(&mut self.ansible.lab(&["fault", "disk", TARGET]))?;
        let mut sick = None;
        wait_until("etcd_info names the fault", FAULT_SHOWS, || {
            let info = self.ansible.module(PEER, "etcd_info", &json!({}))?;
            if *field(&info, "failed") == json!(true) {
                bail!("etcd_info failed on {PEER}: {}", field(&info, "msg"));
            }
            sick = sick_member(&info);
            Ok(sick.is_some())
        })?;
        let sick = sick.unwrap_or_default();
        let kernel = ask(&mut self.ansible.lab(&[
            "exec",
            TARGET,
            "--",
            "dmesg | grep -iE 'I/O error|EXT4-fs (error|warning)' | tail -n 3",
        ]));
        let kernel =
            kernel.unwrap_or_else(|error| format!("{TARGET} does not answer any more: {error:#}"));
        say(kernel.trim());
        say(&sick);
        story
            .evidence
            .push(json!({"title": format!("the kernel of {TARGET}"), "text": kernel.trim()}));
        story.evidence.push(json!({"title": format!("etcd_info on {PEER}"), "text": sick}));
        Ok(())
    }

    fn try_mistake(&self, story: &mut Story) -> anyhow::Result<()> {
        self.phase(&format!(
            "try the mistake: remove {ANOTHER} while {TARGET} is away (the lock is free)"
        ));
        let args = json!({"state": "absent", "name": ANOTHER});
        let result = self.ansible.module(PEER, "etcd_member", &args)?;
        let refusal = field(&result, "refusal");
        let text = |name| field(refusal, name).as_str().unwrap_or_default().to_owned();
        say(&format!("refused ({}): {}", text("code"), text("text")));
        story.refusals.push(json!({
            "at": now(),
            "what": format!("etcd_member state=absent name={ANOTHER} while {TARGET} is away"),
            "refused": *field(&result, "refused") == json!(true),
            "code": text("code"), "text": text("text"), "expected": "quorum",
        }));
        Ok(())
    }

    fn replace(&self, story: &mut Story) -> anyhow::Result<()> {
        self.phase(&format!("replace {TARGET}: ansible-playbook quorate.controlplane.replace_control_plane_node -e target={TARGET}"));
        story.replaced.0 = now();
        let mut playbook = self.replacement().command(false)?;
        if !run_reading(playbook.env("QUORATE_STEPS", self.file("steps.jsonl")), |_| ())? {
            bail!("the playbook failed; the lab is left as it is: cargo xtask lab status");
        }
        story.replaced.1 = now();
        Ok(())
    }

    fn again(&self, story: &mut Story) -> anyhow::Result<()> {
        self.phase("the same command once more");
        let (at, began, steps) = (now(), Instant::now(), self.file("second.jsonl"));
        let mut playbook = self.replacement().command(false)?;
        let changed = self.replacement().changes(playbook.env("QUORATE_STEPS", &steps))?;
        story.second =
            json!({"at": at, "seconds": began.elapsed().as_secs_f64(), "changed": changed});
        Ok(())
    }

    /// The playbook, as a user runs it, and without any leave for a healthy node.
    fn replacement(&self) -> Replacement<'_> {
        Replacement { ansible: &self.ansible, target: TARGET }
    }

    fn verify(&self) -> anyhow::Result<bool> {
        let events = self.file("events.jsonl").display().to_string();
        let mut words = vec![
            "verify".to_owned(),
            "--kubeconfig".into(),
            kubeconfig(),
            "--events".into(),
            events,
        ];
        for (_, address) in MEMBERS {
            words.extend(["--members".to_owned(), format!("https://{address}:6443")]);
        }
        words.extend(self.etcd()?);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        run_reading(&mut self.ansible.witness(&words), |_| ())
    }

    /// How the witness reaches etcd: with the client certificate that kubeadm makes for health checks, copied from a peer.
    fn etcd(&self) -> anyhow::Result<Vec<String>> {
        let mut words: Vec<String> = vec![];
        for (option, file) in [
            ("--etcd-ca", "ca.crt"),
            ("--etcd-cert", "healthcheck-client.crt"),
            ("--etcd-key", "healthcheck-client.key"),
        ] {
            let copy = self.file(file);
            if !copy.exists() {
                fs::write(
                    &copy,
                    self.ansible.on(PEER, &format!("cat /etc/kubernetes/pki/etcd/{file}"))?,
                )?;
            }
            words.extend([option.to_owned(), copy.display().to_string()]);
        }
        for (_, address) in MEMBERS {
            words.extend(["--etcd".to_owned(), format!("https://{address}:2379")]);
        }
        Ok(words)
    }

    fn report(&self, story: &Story) -> anyhow::Result<()> {
        let info = self.ansible.module(PEER, "etcd_info", &json!({}))?;
        let members: Vec<Value> = list(&info, "members").iter().map(|member| json!({"name": field(member, "name"), "id": field(member, "id"), "role": field(member, "role")})).collect();
        let facts = json!({
            "distribution": "kubeadm", "target": TARGET, "versions": self.versions()?,
            "fault_at": story.fault_at, "fault": "the disk beneath etcd's database fails",
            "replace_started": story.replaced.0, "replace_ended": story.replaced.1, "quiet_seconds": story.quiet,
            "second_run": story.second, "refusals": story.refusals, "members_after": members, "evidence": story.evidence,
        });
        fs::write(self.file("facts.json"), facts.to_string())?;
        let path = |name: &str| self.file(name).display().to_string();
        let out = self.ansible.dir.display().to_string();
        let mut report = self.ansible.witness(&[
            "report",
            "--events",
            &path("events.jsonl"),
            "--steps",
            &path("steps.jsonl"),
            "--facts",
            &path("facts.json"),
            "--out",
            &out,
        ]);
        let held = run_reading(&mut report, |_| ())?;
        say(&format!("\n{}\n{}", path("report.json"), path("report.html")));
        if !held {
            bail!("the evidence does not hold: see the table");
        }
        Ok(())
    }

    fn versions(&self) -> anyhow::Result<Value> {
        let first = |line: &str| {
            self.ansible
                .on(PEER, line)
                .map(|text| text.lines().next().unwrap_or_default().trim().to_owned())
        };
        Ok(json!({
            "kubernetes": first("kubeadm version -o short")?,
            "containerd": first("containerd --version")?.split_whitespace().nth(2).unwrap_or_default(),
            "quorate": env!("CARGO_PKG_VERSION"),
        }))
    }
}

/// The clients at work, and the way to HAProxy's runtime socket that one of them follows.
struct Watching {
    clients: Child,
    _way: HaproxySocket,
}

impl Watching {
    fn begin(demo: &Demo) -> anyhow::Result<Self> {
        let events = demo.file("events.jsonl").display().to_string();
        let (kubeconfig, etcd) = (kubeconfig(), demo.etcd()?);
        let way = demo.ansible.haproxy("haproxy.sock")?;
        let socket = way.path.display().to_string();
        let mut words = vec![
            "watch",
            "--kubeconfig",
            &kubeconfig,
            "--events",
            &events,
            "--deadline-seconds",
            "900",
            "--haproxy",
            &socket,
        ];
        words.extend(etcd.iter().map(String::as_str));
        let clients = demo
            .ansible
            .witness(&words)
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start the witness")?;
        let watching = Self { clients, _way: way };
        wait_until("the witness writes", Duration::from_secs(10), || {
            Ok(fs::metadata(&events).is_ok_and(|file| file.len() > 0))
        })?;
        Ok(watching)
    }

    /// Asks it to stop and waits until it has written everything down.
    fn end(mut self, demo: &Demo) -> anyhow::Result<()> {
        // The lab's program has become the witness by exec: the process is the same.
        execute(&mut crate::run::command("kill", ["-s", "TERM", &self.clients.id().to_string()]))?;
        let status = self.clients.wait()?;
        if !status.success() {
            bail!("the witness ended with {status}: {}", demo.file("events.jsonl").display());
        }
        Ok(())
    }
}

impl Drop for Watching {
    /// However the demo ends, its clients end with it.
    fn drop(&mut self) {
        if matches!(self.clients.try_wait(), Ok(None)) {
            _ = self.clients.kill();
            _ = self.clients.wait();
        }
    }
}

fn kubeconfig() -> String {
    format!("{LAB_RUN}/admin.conf")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    field(value, name).as_array().map_or(&[], Vec::as_slice)
}

/// A sentence about the target when it is not proven any more.
fn sick_member(info: &Value) -> Option<String> {
    let target =
        list(info, "members").iter().find(|member| *field(member, "name") == json!(TARGET))?;
    let proven = *field(target, "proven") == json!(true);
    let reasons: Vec<_> = list(target, "missing").iter().filter_map(Value::as_str).collect();
    (!proven).then(|| format!("etcd_info: {TARGET} is not proven: {}", reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sick_member_is_one_that_is_not_proven() {
        let info = |proven| json!({"members": [{"name": "cp2", "proven": proven, "missing": ["no answer"]}]});
        assert!(sick_member(&info(true)).is_none());
        assert!(sick_member(&info(false)).unwrap().contains("no answer"));
    }
}

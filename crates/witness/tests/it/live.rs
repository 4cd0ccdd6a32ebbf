//! The clients against a real control plane: they see nothing where nothing is to be seen, and see what there is.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use witness::event::{Event, Written, read_lines};

use crate::control_plane::{BACKEND, ControlPlane, SIZE, poll};

const PROGRAM: &str = env!("CARGO_BIN_EXE_witness");
const CP2: usize = 1;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A running `witness watch`.
struct Watching {
    child: Child,
    events: PathBuf,
}

impl Watching {
    fn start(plane: &ControlPlane, name: &str) -> Self {
        let events = plane.file(&format!("{name}.jsonl"));
        let child = Command::new(PROGRAM)
            .args([
                "watch",
                "--namespace",
                name,
                "--timeout-seconds",
                "3",
                "--server",
                &plane.url(),
            ])
            .arg("--kubeconfig")
            .arg(plane.kubeconfig())
            .arg("--events")
            .arg(&events)
            .arg("--haproxy")
            .arg(plane.socket())
            .args(etcd_options(plane))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let watching = Self { child, events };
        watching.await_more(40);
        watching
    }

    /// Waits for so many more requests, so that the test is about requests and not about time.
    fn await_more(&self, number: usize) {
        let count =
            || self.read().iter().filter(|event| matches!(event, Event::Request { .. })).count();
        let begun = count();
        poll(&format!("{number} requests"), || count() >= begun + number);
    }

    fn read(&self) -> Vec<Event> {
        if self.events.exists() { read_lines(&self.events).unwrap() } else { vec![] }
    }

    fn stop(mut self) -> PathBuf {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.events
    }
}

fn etcd_options(plane: &ControlPlane) -> Vec<String> {
    let mut words = vec!["--etcd".to_string()];
    words.extend(plane.etcd.endpoints());
    for (name, path) in [
        ("--etcd-ca", plane.etcd.ca_cert()),
        ("--etcd-cert", plane.etcd.client_cert()),
        ("--etcd-key", plane.etcd.client_key()),
    ] {
        words.extend([name.to_string(), path.display().to_string()]);
    }
    words
}

fn verify(plane: &ControlPlane, events: &PathBuf) -> Output {
    let members: Vec<String> = (0..SIZE).map(|index| plane.member_url(index)).collect();
    Command::new(PROGRAM)
        .args(["verify", "--members"])
        .args(members)
        .arg("--kubeconfig")
        .arg(plane.kubeconfig())
        .arg("--events")
        .arg(events)
        .args(etcd_options(plane))
        .output()
        .unwrap()
}

/// Runs `witness report`; gives its exit status, its text and report.json.
fn report(plane: &ControlPlane, events: &PathBuf, facts: &Value) -> (bool, String, Value) {
    let (steps, file, out) =
        (plane.file("steps.jsonl"), plane.file("facts.json"), plane.file("report"));
    fs::write(&steps, "").unwrap();
    fs::write(&file, facts.to_string()).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("report").arg("--events").arg(events).arg("--steps").arg(steps);
    let output = command.arg("--facts").arg(file).arg("--out").arg(&out).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let json = fs::read_to_string(out.join("report.json")).unwrap();
    (output.status.success(), text, serde_json::from_str(&json).unwrap())
}

/// Facts in which only the clients can still say no.
fn facts(plane: &ControlPlane, events: &[Event], started: f64, ended: f64) -> Value {
    let members = events.iter().find_map(|event| match event {
        Event::Members { members, .. } if !members.is_empty() => Some(json!(members)),
        _ => None,
    });
    json!({
        "distribution": "kubeadm", "target": plane.etcd.name(CP2), "replace_started": started, "replace_ended": ended,
        "second_run": {"at": ended, "seconds": 1.0, "changed": 0}, "members_after": members,
    })
}

/// Takes a server out as the playbook does, and puts it back.
fn drained_restart(plane: &mut ControlPlane, watching: &Watching) {
    plane.ask(&format!("set server {BACKEND}/cp2 state drain"));
    watching.await_more(40);
    // The long-lived connections do not end by themselves: apiserver's goodbye first, then the load balancer's.
    plane.stop_apiserver(CP2);
    plane.ask(&format!("shutdown sessions server {BACKEND}/cp2"));
    plane.ask(&format!("set server {BACKEND}/cp2 state maint"));
    watching.await_more(40);
    plane.start_apiserver(CP2);
    plane.ask(&format!("set server {BACKEND}/cp2 state drain"));
    poll("apiserver of cp2", || plane.is_ready(CP2));
    plane.ask(&format!("set server {BACKEND}/cp2 state ready"));
    plane.await_state(CP2, "UP");
    watching.await_more(40);
}

fn a_drained_server_costs_nothing(plane: &mut ControlPlane) {
    let watching = Watching::start(plane, "drained");
    let started = now();
    drained_restart(plane, &watching);
    let ended = now();
    watching.await_more(40);
    let events = watching.stop();
    let verified = verify(plane, &events);
    assert!(verified.status.success(), "{verified:?}");
    let lines: Vec<Event> = read_lines(&events).unwrap();
    let (held, text, json) = report(plane, &events, &facts(plane, &lines, started, ended));
    assert!(held, "{text}");
    assert_eq!(json["api"]["failed"], 0, "{text}");
    assert!(json["writes"]["acked"].as_u64().unwrap() > 5, "{json:#}");
    assert_eq!(json["writes"]["etcd_members_read"], 3, "{json:#}");
    let states: Vec<&str> = lines
        .iter()
        .filter_map(|line| match line {
            Event::Server { server, state, .. } if server == "cp2" => Some(state.as_str()),
            _ => None,
        })
        .collect();
    assert!(states.starts_with(&["UP", "DRAIN"]) && states.ends_with(&["UP"]), "{states:?}");
}

fn a_killed_server_is_seen_and_counted(plane: &mut ControlPlane) {
    let watching = Watching::start(plane, "killed");
    let started = now();
    plane.kill_apiserver(CP2);
    plane.await_state(CP2, "DOWN");
    watching.await_more(80);
    let ended = now();
    watching.await_more(10);
    let events = watching.stop();
    plane.start_apiserver(CP2);
    plane.await_state(CP2, "UP");
    assert!(verify(plane, &events).status.success());
    let lines: Vec<Event> = read_lines(&events).unwrap();

    // Nobody told of a fault: nothing is excused.
    let mut facts = facts(plane, &lines, started, ended);
    let (held, text, json) = report(plane, &events, &facts);
    assert!(!held && json["api"]["failed"].as_u64().unwrap() > 0, "{text}");
    assert!(text.contains("FAIL  no request failed outside the fault window"), "{text}");

    // The same run with its fault: what failed before the load balancer's verdict is counted apart.
    facts["fault_at"] = json!(started);
    let (held, text, json) = report(plane, &events, &facts);
    assert!(held, "{text}");
    assert!(json["fault_window"]["failed"].as_u64().unwrap() > 0, "{text}");
    assert!(json["fault_window"]["retried"].as_u64().unwrap() > 0, "{text}");
    assert!(json["fault_window"]["seconds"].as_f64().unwrap() > 0.5, "{text}");
}

fn a_write_that_vanished_is_lost(plane: &ControlPlane) {
    let watching = Watching::start(plane, "vanished");
    let (started, ended) = (now(), now() + 0.5);
    watching.await_more(40);
    let events = watching.stop();
    let lines: Vec<Event> = read_lines(&events).unwrap();
    let name = lines.iter().find_map(|line| match line {
        Event::Write { name, written: Written::Acked, .. } => Some(name.clone()),
        _ => None,
    });
    plane.delete(&format!("/api/v1/namespaces/vanished/configmaps/{}", name.unwrap()));
    assert!(!verify(plane, &events).status.success());
    let lines: Vec<Event> = read_lines(&events).unwrap();
    let (held, text, json) = report(plane, &events, &facts(plane, &lines, started, ended));
    assert!(!held && json["writes"]["lost"] == 1, "{text}");
}

/// One control plane serves all three: starting it costs more than they do.
#[tokio::test]
async fn the_clients_see_what_there_is_and_nothing_else() {
    let mut plane = ControlPlane::start().await;
    a_drained_server_costs_nothing(&mut plane);
    a_killed_server_is_seen_and_counted(&mut plane);
    a_write_that_vanished_is_lost(&plane);
}

//! Every module's EXAMPLES, run against a whole cluster: those that read for real, those that change in check mode.

use crate::{
    ansible::Ansible,
    run::{execute, root, run_reading, say, target_dir},
    spec::{self, Module, field},
    stage,
    steps::Tally,
};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf};

/// What a reader has in the examples' places, and what the lab has there. Its addresses are in them as they are.
const PLACES: [(&str, &str); 4] = [
    ("pve1.example.org", "\"{{ pve_api_host }}\""),
    ("api_token_id: playbook", "api_token_id: \"{{ pve_api_token_id }}\""),
    ("/etc/pve/pve-root-ca.pem", "\"{{ pve_ca_path }}\""),
    ("local:import/control-plane.qcow2", "\"{{ pve_image }}\""),
];

/// `cargo xtask examples`.
///
/// # Errors
/// When the lab does not come up, or an example ends otherwise than expected.
pub fn in_a_lab() -> anyhow::Result<()> {
    let ansible = Ansible::new(stage::dev()?, target_dir().join("examples"))?;
    let ran = brought_up(&ansible);
    execute(&mut ansible.lab(&["down"]))?;
    let Tally { passed, failed, .. } = ran?;
    if failed > 0 {
        bail!("{failed} of {} examples ended otherwise than expected", passed + failed);
    }
    Ok(())
}

/// The same as a step of `cargo xtask test`.
///
/// # Errors
/// When they do not run at all.
pub fn as_test() -> anyhow::Result<Tally> {
    brought_up(&Ansible::new(stage::dev()?, target_dir().join("examples"))?)
}

fn brought_up(ansible: &Ansible) -> anyhow::Result<Tally> {
    execute(&mut ansible.lab(&["up"]))?;
    run(ansible)
}

/// Runs every example over a lab that is up, and says how each ended. The cluster stays as it is.
///
/// # Errors
/// When they do not run at all.
fn run(ansible: &Ansible) -> anyhow::Result<Tally> {
    let modules = spec::modules()?;
    let dir = ansible.dir.join("tasks");
    fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
    for module in &modules {
        fs::write(dir.join(file(module)), in_the_lab(module.examples()))?;
    }
    let log = ansible.dir.join("examples.jsonl");
    let mut play = ansible.play(&own("lab.yml"))?;
    play.arg("--extra-vars").arg(json!({"examples": dir}).to_string());
    play.env("ANSIBLE_CALLBACK_PLUGINS", own("callback")).env("QUORATE_EXAMPLES", &log);
    play.env("ANSIBLE_CALLBACKS_ENABLED", "quorate_examples");
    let whole = run_reading(&mut play, |_| ())?;
    let text = fs::read_to_string(&log).context("the examples' play wrote down no task")?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let expected = fs::read_to_string(own("expected.json"))?;
    let expected = serde_json::from_str(&expected).context("expected.json is no JSON")?;
    let mut tally = Tally::default();
    say(&format!("\n{:<24} {:<8} {:<90} ended", "module", "run", "example"));
    for module in &modules {
        tally.add(judge(module, &lines, &expected));
    }
    if !whole {
        say("error: the examples' play did not end well, what is around the examples failed");
        tally.failed += 1;
    }
    Ok(tally)
}

fn own(name: &str) -> PathBuf {
    root().join("crates/xtask/examples").join(name)
}

fn file(module: &Module) -> String {
    format!("{}.yml", module.name())
}

fn in_the_lab(examples: &str) -> String {
    PLACES.iter().fold(examples.to_owned(), |text, (reader, lab)| text.replace(reader, lab))
}

/// The names of the tasks: each has one, on its first line.
fn names(examples: &str) -> Vec<&str> {
    examples.lines().filter_map(|line| line.strip_prefix("- name: ")).collect()
}

/// Shows how each example of a module ended, on every host that it ran on.
fn judge(module: &Module, lines: &[Value], expected: &Value) -> Tally {
    let mut tally = Tally::default();
    let own = field(expected, module.name());
    let way = if module.is_read_only() { "for real" } else { "checked" };
    let mut known: BTreeSet<_> =
        own.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    for name in names(module.examples()) {
        known.remove(&name.to_owned());
        let ends: BTreeSet<_> = lines
            .iter()
            .filter(|line| *field(line, "file") == file(module) && *field(line, "task") == name)
            .map(|line| end(line, module))
            .collect();
        let good = is_expected(&ends, field(own, name));
        tally.add(Tally::one(good));
        let ends = ends.into_iter().collect::<Vec<_>>().join("; ");
        let ends = if ends.is_empty() { "did not run" } else { &ends };
        let bad = if good { "" } else { "error: not as expected: " };
        say(&format!("{:<24} {way:<8} {name:<90} {bad}{ends}", module.name()));
    }
    for name in known {
        say(&format!("error: {} has no example {name:?} any more", module.name()));
        tally.failed += 1;
    }
    tally
}

/// How a task ended; one of ours that did not run the way it has to says so.
fn end(line: &Value, module: &Module) -> String {
    let ended = field(line, "ended").as_str().unwrap_or_default();
    let ours = field(line, "action").as_str().is_some_and(|name| name.starts_with("quorate."));
    let checked = *field(line, "check") == json!(true);
    if ours && checked == module.is_read_only() {
        return format!("{ended}, run the wrong way");
    }
    let changed = ended == "ok" && *field(line, "changed") == json!(true);
    if changed { "would change".to_owned() } else { ended.to_owned() }
}

/// `wanted` is nothing for an example that works on a whole cluster, else the code of the refusal or a part of the message; or a list of those that may come.
fn is_expected(ends: &BTreeSet<String>, wanted: &Value) -> bool {
    let one = |wanted: &Value, end: &str| match wanted.as_str() {
        Some("ok") | None => end == "ok" || end == "would change",
        Some(text) => end.contains(text),
    };
    let fits = |end: &String| match wanted {
        Value::Array(all) => all.iter().any(|wanted| one(wanted, end)),
        wanted => one(wanted, end),
    };
    !ends.is_empty() && ends.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_ends_as_expected_or_not() {
        let ends = |all: &[&str]| all.iter().map(|end| (*end).to_owned()).collect();
        assert!(is_expected(&ends(&["ok", "would change"]), &Value::Null));
        assert!(!is_expected(&ends(&["ok", "target_runs"]), &Value::Null));
        assert!(!is_expected(&ends(&[]), &Value::Null), "it did not run");
        assert!(is_expected(&ends(&["target_runs"]), &json!("target_runs")));
        assert!(!is_expected(&ends(&["ok"]), &json!("target_runs")), "the table is out of date");
        assert!(is_expected(&ends(&["skipped", "refused"]), &json!(["skipped", "refused"])));
    }

    #[test]
    fn every_module_has_a_play_and_every_example_a_name() {
        let play = fs::read_to_string(own("lab.yml")).unwrap();
        for module in fs::read_dir(root().join("crates")).unwrap() {
            let dir = module.unwrap().path();
            let Ok(examples) = fs::read_to_string(dir.join("examples.yml")) else { continue };
            let name = dir.file_name().unwrap().to_string_lossy();
            assert!(play.contains(&format!("}}}}/{name}.yml")), "{name} has no play");
            let tasks = examples.lines().filter(|line| line.starts_with("- ")).count();
            assert_eq!(names(&examples).len(), tasks, "{name}: a task has no name");
        }
    }
}

//! The replacement by the playbook against the same steps by hand, one after the other in the same lab.

use crate::{
    ansible::{Ansible, LAB_RUN, inventory},
    replacement::Replacement,
    run::{execute, is_root, root, run_reading, target_dir},
    spec::field,
};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Stdio, time::Instant};

const TARGET: &str = "cp2";
/// Each side so often, taking turns: the machine is not quiet.
const ROUNDS: usize = 2;
/// Tasks that are waits which safety prescribes, and that nobody waits for by hand: HAProxy's checks have to pass `rise` times,
/// and the member and the Node have to prove themselves.
const QUIET: [&str; 1] = ["Put the server back into the load balancers"];

pub fn rows(staged: PathBuf) -> anyhow::Result<Vec<Value>> {
    if !is_root() {
        bail!("the replacement bench boots the lab and needs root");
    }
    let ansible = Ansible::new(staged, target_dir().join("bench"))?;
    execute(&mut ansible.lab(&["up"]))?;
    let (mut ours, mut quiet, mut hand) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        hand.push(by_hand(&ansible)?);
        let (seconds, waits) = by_playbook(&ansible, round)?;
        ours.push(seconds - waits);
        quiet.push(waits);
    }
    execute(&mut ansible.lab(&["down"]))?;
    let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    let [ours, hand, quiet] = [least(&ours), least(&hand), least(&quiet)];
    let row = |name: &str, value: f64, against: &str, against_value: f64| {
        json!({
            "group": "replacement", "name": name, "value": value, "unit": "s",
            "against": against, "against_value": against_value, "ratio": value / against_value,
        })
    };
    Ok(vec![
        row("a node replaced", ours, "by hand", hand),
        row("prescribed quiet, apart", quiet, "the rest", ours),
    ])
}

fn by_hand(ansible: &Ansible) -> anyhow::Result<f64> {
    let text = fs::read_to_string(inventory())?;
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "))
            .with_context(|| format!("the lab's inventory has no {key}"))
    };
    let token = format!(
        "{}!{}={}",
        value("pve_api_user")?,
        value("pve_api_token_id")?,
        value("pve_api_token_secret")?
    );
    let script = root().join("crates/xtask/bench/replace_by_hand.sh").display().to_string();
    let began = Instant::now();
    let mut hand = ansible.inside("bash", &[&script, LAB_RUN, &token, value("pve_image")?]);
    // The command line has the token's secret in it: it is not printed.
    let status = hand.stdin(Stdio::null()).status().context("failed to start bash")?;
    if !status.success() {
        bail!("the steps by hand ended with {status}");
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds in all, and those that are prescribed waits.
fn by_playbook(ansible: &Ansible, round: usize) -> anyhow::Result<(f64, f64)> {
    let steps = ansible.dir.join(format!("steps-{round}.jsonl"));
    let mut playbook = Replacement { ansible, target: TARGET }.command(true)?;
    let began = Instant::now();
    if !run_reading(playbook.env("QUORATE_STEPS", &steps), |_| ())? {
        bail!("the playbook failed");
    }
    let seconds = began.elapsed().as_secs_f64();
    let waits = fs::read_to_string(&steps)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|step| {
            let name = field(step, "step").as_str().unwrap_or_default();
            QUIET.iter().any(|quiet| name.starts_with(quiet))
        })
        .filter_map(|step| field(&step, "seconds").as_f64())
        .sum();
    Ok((seconds, waits))
}

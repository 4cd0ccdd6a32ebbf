//! `cargo xtask bench`: speed and size, against the alternatives, both sides in one run.

mod etcd;
mod replacement;

use crate::{
    deps,
    run::{ask, command, in_python_env, is_root, python_env, root, say, target_dir},
    spec::field,
    stage,
};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{fs, path::Path};

const GROUPS: [&str; 4] = ["size", "transport", "etcd", "replacement"];
/// Budgets of the multi-call program per architecture, in bytes: stripped, and as it travels.
const STRIPPED: usize = 7_000_000;
const GZIPPED: usize = 3_200_000;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let groups = match args {
        [] => GROUPS.to_vec(),
        [one] if GROUPS.contains(&one.as_str()) => vec![one.as_str()],
        other => bail!("unknown group {other:?}: {}", GROUPS.join(", ")),
    };
    deps::all(groups.contains(&"replacement"))?;
    // Both architectures are built for their sizes only: that takes minutes.
    let sizes = groups.contains(&"size");
    let staged = if sizes { stage::release()? } else { stage::release_here()? };
    let mut rows = vec![];
    if sizes {
        rows.extend(size(&staged)?);
    }
    if groups.contains(&"transport") {
        rows.extend(transport(&staged)?);
    }
    if groups.contains(&"etcd") {
        rows.extend(etcd::rows(&staged)?);
    }
    if groups.contains(&"replacement") {
        rows.extend(replacement::rows(staged)?);
    }
    let file = target_dir().join("bench.json");
    fs::write(&file, serde_json::to_string_pretty(&rows)?)?;
    table(&rows);
    say(&file.display().to_string());
    Ok(())
}

fn size(staged: &Path) -> anyhow::Result<Vec<Value>> {
    let bin = staged.join("ansible_collections/quorate/controlplane/bin");
    let mut rows = vec![];
    for arch in ["x86_64", "aarch64"] {
        let program = bin.join(arch).join("quorate");
        let Ok(content) = fs::read(&program) else { continue };
        let zipped = command("gzip", ["--best", "--stdout"]).arg(&program).output()?.stdout.len();
        for (name, bytes, budget) in
            [("stripped", content.len(), STRIPPED), ("gzipped", zipped, GZIPPED)]
        {
            let [value, against] = [bytes, budget].map(stage::megabytes);
            rows.push(json!({
                "group": "size", "name": format!("{arch}, {name}"), "value": value, "unit": "MB",
                "against": "budget", "against_value": against, "ratio": value / against,
            }));
        }
    }
    Ok(rows)
}

/// Over a real sshd on loopback, by the same parts as the tests of the action plugin.
fn transport(staged: &Path) -> anyhow::Result<Vec<Value>> {
    if !is_root() {
        bail!(
            "the transport bench starts an sshd in a mount namespace and needs root; \"cargo xtask bench size\" does not"
        );
    }
    let tests = root().join("ansible_collections/quorate/controlplane/tests/transport");
    let mut bench = command(python_env()?.join("bin/python"), ["bench.py"]);
    bench
        .current_dir(tests)
        .env("QUORATE_STAGE", staged)
        .env("QUORATE_CALLBACKS", root().join("crates/witness/ansible"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    in_python_env(&mut bench)?;
    serde_json::from_str(&ask(&mut bench)?).context("the transport bench printed no JSON")
}

fn table(rows: &[Value]) {
    say(&format!(
        "\n{:<10} {:<28} {:>9} {:<4} {:<8} {:>9} {:>6}",
        "group", "what", "value", "", "against", "value", "ratio"
    ));
    for row in rows {
        let text = |key: &str| field(row, key).as_str().unwrap_or_default().to_owned();
        let number = |key: &str| field(row, key).as_f64().unwrap_or_default();
        say(&format!(
            "{:<10} {:<28} {:>9.2} {:<4} {:<8} {:>9.2} {:>6.2}",
            text("group"),
            text("name"),
            number("value"),
            text("unit"),
            text("against"),
            number("against_value"),
            number("ratio")
        ));
    }
}

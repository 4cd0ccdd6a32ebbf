//! Our etcd modules against etcdctl and etcdutl of the same etcd, taking turns at one cluster; see `cargo xtask bench etcd`.
//!
//! Takes the program that ships, and prints the rows as JSON. Its own speed is in no figure: what is measured are whole processes of both sides,
//! from their start to their end, each with the most memory it ever had. The stalls are those that clients here see.
//!
//! Needs 4 GB of disk and of memory while it runs: three members with 500 MB each, their logs, and two snapshots.

mod defragment;
mod filled;
mod info;
mod measured;
mod snapshot;
mod watch;

use anyhow::{Context, bail};
use measured::{Cost, measure, run};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};
use testkit::etcd::Etcd;

/// Both sides, and the cluster they work on.
struct Bench {
    etcd: Etcd,
    ours: PathBuf,
    etcdctl: PathBuf,
    etcdutl: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        [flag, report, program, args @ ..] if flag == measured::FLAG => {
            measure(Path::new(report), program, args)
        }
        [program] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let rows = runtime.block_on(bench(Path::new(program)))?;
            writeln!(std::io::stdout(), "{}", Value::from(rows)).context("print the rows")
        }
        _ => bail!("expected one argument: the program whose modules are measured"),
    }
}

async fn bench(program: &Path) -> anyhow::Result<Vec<Value>> {
    let bench = Bench {
        // 8 GiB of quota, and logs that are thrown away soon: all of it has to fit on a small disk
        etcd: Etcd::start_with(
            3,
            &[
                "--quota-backend-bytes=8589934592",
                "--snapshot-count=50",
                "--snapshot-catchup-entries=50",
                "--max-wals=1",
                "--max-snapshots=1",
            ],
        )
        .await?,
        ours: program.to_owned(),
        etcdctl: artefacts::etcdctl()?,
        etcdutl: artefacts::etcdutl()?,
    };
    let mut rows = info::rows(&bench).await?;
    say("fill the database");
    let batches = filled::fill(&bench.etcd).await?;
    rows.extend(snapshot::rows(&bench).await?);
    rows.extend(defragment::rows(&bench, batches).await?);
    Ok(rows)
}

impl Bench {
    /// Runs one of our modules, as Ansible runs it on the target. It must not fail.
    async fn module(&self, name: &str, args: Value) -> anyhow::Result<(Cost, Value)> {
        let mut request = args;
        if let Some(request) = request.as_object_mut() {
            request.insert("_ansible_module_name".into(), name.into());
        }
        let (cost, said) = run(&self.ours, &["-".to_owned()], Some(&request)).await?;
        let reply: Value =
            serde_json::from_str(&said).with_context(|| format!("read the reply of {name}"))?;
        if reply.get("failed") != Some(&json!(false)) {
            bail!("{name} failed: {reply}");
        }
        Ok((cost, reply))
    }

    /// The arguments of every module that reaches the cluster.
    fn reach(&self, more: &Value) -> Value {
        let etcd = &self.etcd;
        let mut args = json!({
            "endpoints": etcd.endpoints(),
            "ca_cert": etcd.ca_cert(), "client_cert": etcd.client_cert(), "client_key": etcd.client_key(),
        });
        if let (Some(args), Some(more)) = (args.as_object_mut(), more.as_object()) {
            args.extend(more.clone());
        }
        args
    }

    /// Runs etcdctl at one or more endpoints.
    async fn etcdctl(&self, endpoints: &[String], words: &[&str]) -> anyhow::Result<Cost> {
        let etcd = &self.etcd;
        let mut args = vec![
            format!("--endpoints={}", endpoints.join(",")),
            format!("--cacert={}", etcd.ca_cert().display()),
            format!("--cert={}", etcd.client_cert().display()),
            format!("--key={}", etcd.client_key().display()),
            "--command-timeout=120s".to_owned(),
        ];
        args.extend(words.iter().map(|word| (*word).to_owned()));
        Ok(run(&self.etcdctl, &args, None).await?.0)
    }
}

/// One line of the table.
fn row(name: &str, value: f64, unit: &str, (against, against_value): (&str, f64)) -> Value {
    json!({
        "group": "etcd", "name": name, "value": value, "unit": unit,
        "against": against, "against_value": against_value, "ratio": value / against_value,
    })
}

/// The value in the middle: one slow round on a busy machine says nothing.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The largest: a peak is a peak.
fn most(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

/// Tells what comes, for it takes minutes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "etcd: {text}");
}

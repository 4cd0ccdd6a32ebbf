//! The action plugin with every version of ansible-core that it supports, and the collection under the tools that users run on it.

use crate::{
    run::{command, in_python_env, python_env, root, say},
    spec, stage,
    steps::{Tally, counted},
};
use anyhow::Context;
use artefacts::{python_3_13_env, python_env as python_3_11_env};
use std::path::{Path, PathBuf};

/// What makes an environment out of the requirements of that name.
type Maker = fn(&str, &Path) -> anyhow::Result<PathBuf>;

/// Versions of ansible-core, each with the Python that it wants. The one of `requirements.txt` is not among them: with it the
/// whole of the tests runs, with these the part that is marked `core`.
const VERSIONS: &[(&str, Maker)] = &[
    ("2.16", python_3_11_env),
    ("2.17", python_3_11_env),
    ("2.18", python_3_11_env),
    ("2.20", python_3_13_env),
    ("2.21", python_3_13_env),
    ("2.22", python_3_13_env),
];

/// Each of these tests has a sshd, a controller and folders of its own, and mostly waits for them.
const AT_A_TIME: &str = "3";

/// The core of the transport tests with every other version, then the tools.
pub fn tally() -> anyhow::Result<Tally> {
    let staged = stage::dev()?;
    let mut tally = Tally::default();
    for (version, make) in VERSIONS {
        let bin = environment(version, *make)?.join("bin");
        say(&format!("ansible-core {version}"));
        tally.add(pytest("transport", &["-m", "core", "-n", AT_A_TIME], &staged, &bin)?);
    }
    tally.add(pytest("tools", &[], &staged, &tools()?.join("bin"))?);
    Ok(tally)
}

/// The environment with the tools that users run.
pub fn tools() -> anyhow::Result<PathBuf> {
    environment("tools", python_3_11_env)
}

fn environment(name: &str, make: Maker) -> anyhow::Result<PathBuf> {
    let file = root().join(format!("crates/xtask/requirements-{name}.txt"));
    make(&format!("ansible-{name}"), &file)
        .with_context(|| format!("failed to make the environment of {}", file.display()))
}

/// All transport tests with the ansible-core of `requirements.txt`: the action plugin through a real sshd, with a stand-in and with the real program.
pub fn transport() -> anyhow::Result<Tally> {
    let staged = stage::dev()?;
    pytest("transport", &["-n", AT_A_TIME], &staged, &python_env()?.join("bin"))
}

/// Runs a folder of tests with Ansible's programs from `bin`.
fn pytest(folder: &str, args: &[&str], staged: &Path, bin: &Path) -> anyhow::Result<Tally> {
    let python = python_env()?.join("bin/python");
    let tests = root().join("ansible_collections/quorate/controlplane/tests").join(folder);
    let mut pytest =
        command(python, ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--color=no"]);
    pytest
        .args(args)
        .arg(tests)
        .env("QUORATE_STAGE", staged)
        .env("QUORATE_ANSIBLE", bin)
        .env("QUORATE_TROUBLE", spec::trouble()?)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    in_python_env(&mut pytest)?;
    counted(&mut pytest)
}

//! Python environments of pinned requirements.

use crate::cache::{self, Key, cache};
use anyhow::{Context, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the virtual environment with the packages that a requirements file names, made if need be.
///
/// Its programs lie in `bin/`. It is keyed by the file's content and the interpreter's version. Unlike the other
/// artefacts it cannot be renamed into place, because the programs in it name their interpreter by its absolute
/// path; a file written last marks it as whole instead.
///
/// # Errors
/// When the requirements cannot be read, or Python 3.11 or newer with its `venv` module or the package index is
/// not there.
pub fn python_env(name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    env(name, requirements, &interpreter()?)
}

/// Returns the same with Python 3.13 ([`python_3_13`]), for packages that want a newer one than Debian 12 has.
///
/// # Errors
/// As [`python_env`], and when there is no `apt-get` or the Debian archive is not there.
pub fn python_3_13_env(name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    let root = python_3_13()?;
    let path = root.join("usr/bin").join(WRAPPER);
    let wheels = root.join("usr/share/python-wheels");
    let pip = fs::read_dir(&wheels)
        .with_context(|| format!("cannot read {}", wheels.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pip-"))
        })
        .with_context(|| format!("there is no pip in {}", wheels.display()))?;
    let python = Python { version: root.display().to_string(), path, pip: Some(pip) };
    env(name, requirements, &python)
}

fn env(name: &str, requirements: &Path, python: &Python) -> anyhow::Result<PathBuf> {
    let wanted = fs::read(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let store = cache()?.join("python");
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    let path = python.path.as_os_str().as_encoded_bytes();
    let key = Key::new(&python.version).with(path).with(&wanted);
    let title = format!("{name}-{}", key.short());
    let dir = store.join(&title);
    let mark = dir.join("complete");
    if mark.is_file() {
        return Ok(dir);
    }
    let _lock = cache::lock(&store.join(format!(".{title}.lock")), name)?;
    if mark.is_file() {
        return Ok(dir);
    }
    cache::say(&format!("making the Python environment {name}"));
    cache::remove(&dir)?;
    let mut venv = Command::new(&python.path);
    venv.args(["-m", "venv"]).args(python.pip.as_ref().map(|_| "--without-pip")).arg(&dir);
    cache::run(&mut venv)
        .context("cannot make a virtual environment; Debian keeps the module in python3-venv")?;
    let mut pip = Command::new(dir.join("bin/python"));
    if let Some(wheel) = &python.pip {
        pip.env("PYTHONPATH", wheel);
    }
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements);
    cache::run(&mut pip).with_context(|| format!("cannot install {}", requirements.display()))?;
    fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(dir)
}

/// Starts the interpreter with the C library that it was built for, from wherever its tree lies.
const WRAPPER: &str = "python3-here";
const WRAP: &str = r#"#!/bin/sh
here=$(readlink -f "$0")
root=${here%/usr/bin/*}
for loader in "$root"/usr/lib/*-linux-gnu*/ld-linux*.so.*; do
    exec "$loader" --library-path "${loader%/*}" --argv0 "$0" "$root/usr/bin/python3.13" "$@"
done
"#;

/// Returns a tree with Debian 13's Python 3.13, unpacked and not installed: it takes no root and touches nothing.
///
/// # Errors
/// When there is no `apt-get` or the Debian archive is not there.
pub fn python_3_13() -> anyhow::Result<PathBuf> {
    let source = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n";
    let key = Key::new("apt-get download").with(source).with(WRAP);
    cache::once("python", "3.13", &key, |dir| {
        let apt = dir.join("apt");
        fs::create_dir_all(apt.join("lists/partial"))?;
        fs::create_dir_all(apt.join("archives/partial"))?;
        fs::write(apt.join("status"), "")?;
        fs::write(apt.join("sources.list"), source)?;
        let run = |args: &[&str]| cache::run(apt_get(&apt).args(args));
        run(&["update"]).context("cannot read the Debian archive")?;
        run(&["install", "--yes", "--download-only", "python3.13-venv"])?;
        for package in fs::read_dir(apt.join("archives"))? {
            let package = package?.path();
            if package.extension().is_some_and(|end| end == "deb") {
                cache::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(dir))?;
            }
        }
        fs::remove_dir_all(&apt)?;
        let wrapper = dir.join("usr/bin").join(WRAPPER);
        fs::write(&wrapper, WRAP)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        Ok(())
    })
}

/// An `apt-get` that knows of this directory alone.
fn apt_get(dir: &Path) -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet=2");
    for (key, value) in [
        ("Dir::State", ""),
        ("Dir::State::lists", "lists"),
        ("Dir::State::status", "status"),
        ("Dir::Cache", ""),
        ("Dir::Cache::archives", "archives"),
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::Etc::sourceparts", "none"),
        ("Dir::Etc::preferences", "none"),
        ("Dir::Etc::preferencesparts", "none"),
    ] {
        apt.arg("--option").arg(format!("{key}={}", dir.join(value).display()));
    }
    // The sandbox's own user could not write there.
    for option in ["Debug::NoLocking=1", "APT::Install-Recommends=false", "APT::Sandbox::User="] {
        apt.args(["--option", option]);
    }
    apt
}

struct Python {
    path: PathBuf,
    version: String,
    /// The wheel to install with; without one, the interpreter brings its own.
    pip: Option<PathBuf>,
}

fn interpreter() -> anyhow::Result<Python> {
    for path in ["python3.11", "python3"] {
        let probe =
            "import sys; assert sys.version_info >= (3, 11); print(sys.version, sys.base_prefix)";
        if let Ok(version) = cache::output(Command::new(path).args(["-c", probe])) {
            return Ok(Python { path: path.into(), version, pip: None });
        }
    }
    bail!("Python 3.11 or newer is needed and is not installed")
}

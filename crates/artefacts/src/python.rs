//! Python environments of pinned requirements.

use crate::cache::{self, Key, cache};
use anyhow::{Context, bail};
use std::fs;
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
    let wanted = fs::read(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let python = interpreter()?;
    let store = cache()?.join("python");
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    let key = Key::new(&python.version).with(&python.path).with(&wanted);
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
    cache::run(Command::new(&python.path).args(["-m", "venv"]).arg(&dir))
        .context("cannot make a virtual environment; Debian keeps the module in python3-venv")?;
    let mut pip = Command::new(dir.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements);
    cache::run(&mut pip).with_context(|| format!("cannot install {}", requirements.display()))?;
    fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(dir)
}

struct Python {
    path: String,
    version: String,
}

fn interpreter() -> anyhow::Result<Python> {
    for path in ["python3.11", "python3"] {
        let probe =
            "import sys; assert sys.version_info >= (3, 11); print(sys.version, sys.base_prefix)";
        if let Ok(version) = cache::output(Command::new(path).args(["-c", probe])) {
            return Ok(Python { path: path.to_owned(), version });
        }
    }
    bail!("Python 3.11 or newer is needed and is not installed")
}

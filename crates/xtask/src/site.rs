//! `cargo xtask docs --site`, and the way of a new user: the tools that users run, on what is given to them.

use crate::{
    matrix::tools,
    run::{command, execute, first_on_path, in_python_env, python_env, root, say, target_dir},
    stage,
};
use std::path::Path;

/// Builds the documentation as web pages.
///
/// # Errors
/// When a tool warns.
pub fn build() -> anyhow::Result<()> {
    let to = target_dir().join("docs-site");
    let mut build = command("sh", [root().join("docs/site/build.sh")]);
    build.arg(stage::dev()?).arg(&to).env("LC_ALL", "C.UTF-8");
    first_on_path(&mut build, tools()?.join("bin"))?;
    execute(&mut build)?;
    say(&format!("the pages begin at {}", to.join("html/index.html").display()));
    Ok(())
}

/// Goes the way of a new user with a built tarball and the standalone programs: an empty home, the first task, a play in check mode.
///
/// # Errors
/// When a step of it fails.
pub fn walk(tarball: &Path, library: &Path) -> anyhow::Result<()> {
    let tests = root().join("ansible_collections/quorate/controlplane/tests/tools");
    let python = python_env()?.join("bin/python");
    let mut walk = command(python, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"]);
    walk.arg(tests.join("test_new_user.py")).env("QUORATE_TARBALL", tarball);
    walk.env("QUORATE_LIBRARY", library);
    walk.env("QUORATE_ANSIBLE", tools()?.join("bin")).env("PYTHONDONTWRITEBYTECODE", "1");
    in_python_env(&mut walk)?;
    execute(&mut walk)
}

/// Holds a bill of materials against the schema of `CycloneDX`.
///
/// # Errors
/// When it is not as the schema says.
pub fn check_sbom(bill: &Path) -> anyhow::Result<()> {
    const CHECK: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding='utf-8').read())
sys.exit(repr(wrong) if wrong else 0)
";
    let python = tools()?.join("bin/python");
    execute(command(python, ["-c", CHECK.trim()]).arg(bill))
}

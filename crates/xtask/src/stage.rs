//! `cargo xtask stage`: the collection as an installable tree, with its programs.

use crate::{
    dist::paths,
    run::{MUSL, MUSL_ARM, cargo, command, execute, root, say, target_dir},
    spec::{self, Module},
};
use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// What of the collection's sources goes into the tree; its tests and what it is made from stay.
const SOURCES: [&str; 7] =
    ["galaxy.yml", "README.md", "LICENSES", "changelogs", "meta", "plugins", "roles"];
/// The runbooks, which users call by name, and what they include.
const PLAYBOOKS: &str = "playbooks";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Release,
    Standalone,
    Dev,
}

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let profile = match args {
        [] => Profile::Release,
        [flag, name] if flag == "--profile" => match name.as_str() {
            "release" => Profile::Release,
            "standalone" => Profile::Standalone,
            "dev" => Profile::Dev,
            other => bail!("no profile {other:?}: release, standalone or dev"),
        },
        other => bail!("unknown arguments {other:?}: [--profile release|standalone|dev]"),
    };
    stage(profile, profile != Profile::Dev).map(drop)
}

/// The tree with the programs that ship.
pub fn release() -> anyhow::Result<PathBuf> {
    stage(Profile::Release, true)
}

/// The tree with the program that ships for this architecture alone: half the time, where every target is of it.
pub fn release_here() -> anyhow::Result<PathBuf> {
    stage(Profile::Release, false)
}

/// The tree with this architecture's development program: what tests use, ready in seconds.
pub fn dev() -> anyhow::Result<PathBuf> {
    stage(Profile::Dev, false)
}

fn stage(profile: Profile, everywhere: bool) -> anyhow::Result<PathBuf> {
    let modules = spec::modules()?;
    let stage = target_dir().join("stage");
    // Made beside and swapped in: a playbook that runs from the tree never meets half of one.
    let fresh = target_dir().join(format!("stage.{}", std::process::id()));
    let tree = fresh.join("ansible_collections/quorate/controlplane");
    fs::create_dir_all(&tree)?;
    let sources = root().join("ansible_collections/quorate/controlplane");
    for name in SOURCES {
        copy(&sources.join(name), &tree.join(name))?;
    }
    copy(&root().join(PLAYBOOKS), &tree.join(PLAYBOOKS))?;
    programs(profile, everywhere, &tree.join("bin"))?;
    specs(&modules, &tree.join("bin/spec"))?;
    swap(&fresh, &stage)?;
    say(&format!("staged in {}", stage.display()));
    Ok(stage)
}

fn swap(fresh: &Path, stage: &Path) -> anyhow::Result<()> {
    let old = fresh.with_extension("old");
    if stage.exists() {
        fs::rename(stage, &old)?;
    }
    fs::rename(fresh, stage)?;
    match fs::remove_dir_all(&old) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", old.display()))
        }
        _ => Ok(()),
    }
}

fn programs(profile: Profile, everywhere: bool, bin: &Path) -> anyhow::Result<()> {
    let all = [("x86_64", MUSL), ("aarch64", MUSL_ARM)];
    let wanted = if everywhere { all.get(..) } else { all.get(..1) };
    let mut sums = String::new();
    for (arch, target) in wanted.unwrap_or_default() {
        let (flags, folder): (&[&str], _) = match profile {
            Profile::Release => (&["--release"], "release"),
            Profile::Standalone => (&["--profile", "standalone"], "standalone"),
            Profile::Dev => (&[], "debug"),
        };
        // The whole workspace: features are resolved alike, and nothing is compiled twice.
        let mut build = cargo(["build", "--workspace", "--bin", "quorate", "--target", target]);
        if profile != Profile::Dev {
            build.env("CARGO_ENCODED_RUSTFLAGS", paths::remapped()?);
        }
        execute(build.args(flags))?;
        let program = bin.join(arch).join("quorate");
        fs::create_dir_all(program.parent().unwrap_or(bin))?;
        let made = target_dir().join(target).join(folder).join("quorate");
        if profile == Profile::Dev {
            // Debug information is nine tenths of it, and would travel to every host.
            execute(command("strip", ["-o"]).arg(&program).arg(&made))?;
        } else {
            fs::copy(&made, &program)
                .with_context(|| format!("failed to copy {}", made.display()))?;
        }
        let content = fs::read(&program)?;
        writeln!(sums, "{}  {arch}/quorate", hex(&Sha256::digest(&content)))?;
        say(&format!("{arch}: {:.2} MB", megabytes(content.len())));
    }
    fs::write(bin.join("SHA256SUMS"), sums)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// The option tables, one file a module, for the controller's own validation.
fn specs(modules: &[Module], dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    for module in modules {
        fs::write(dir.join(format!("{}.json", module.name())), module.argument_spec().to_string())?;
    }
    Ok(())
}

/// Copies a file or a folder, if it is there.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if from.is_dir() {
        if from.ends_with("__pycache__") {
            return Ok(());
        }
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.is_file() {
        fs::copy(from, to).with_context(|| format!("failed to copy {}", from.display()))?;
    }
    Ok(())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! `cargo xtask deps`: brings what the machine lacks. Does nothing where everything is there.

use crate::run::{MUSL, MUSL_ARM, ask, cargo, command, execute, is_root, python_env, root, say};
use anyhow::{Context, bail};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
const POLICY: &str = "/usr/sbin/policy-rc.d";

pub fn run(args: &[String]) -> anyhow::Result<()> {
    all(!args.iter().any(|arg| arg == "--no-lab"))?;
    say("everything is there");
    Ok(())
}

/// Everything that the tests need, with the lab or without.
pub fn all(lab: bool) -> anyhow::Result<()> {
    debian_packages(lab)?;
    rust_targets()?;
    go()?;
    python_env()?;
    cargo_deny()?;
    Ok(())
}

fn debian_packages(lab: bool) -> anyhow::Result<()> {
    let missing = missing(&listed(lab)?);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if ask(&mut command("apt-get", ["--version"])).is_err() {
        bail!(
            "missing: {names} (Debian's names), and there is no apt-get here to install them with"
        );
    }
    if !is_root() {
        bail!(
            "missing: {names}; install them with \"sudo apt-get install {names}\", or run this as root{}",
            without_lab(lab)
        );
    }
    let _quiet = QuietServers::new()?;
    let apt =
        |args: &[&str]| execute(command("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive"));
    apt(&["update", "--quiet=2"])?;
    let mut install = vec!["install", "--quiet=2", "--yes", "--no-install-recommends"];
    install.extend(missing.iter().map(String::as_str));
    apt(&install)
}

/// What to try where the lab's packages cannot be had.
fn without_lab(lab: bool) -> &'static str {
    if lab { "; \"cargo xtask test --no-lab\" needs fewer" } else { "" }
}

/// While it lives, installing a package starts no server (sshd, haproxy): whoever runs the tests did not ask for one.
struct QuietServers {
    made: bool,
}

impl QuietServers {
    fn new() -> anyhow::Result<Self> {
        // Somebody else's policy stays as it is.
        let made = !fs::exists(POLICY)?;
        if made {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")
                .with_context(|| format!("failed to write {POLICY}"))?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { made })
    }
}

impl Drop for QuietServers {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// The packages that the crates name: one list beside each crate that needs some.
fn listed(lab: bool) -> anyhow::Result<Vec<String>> {
    let mut all = vec![];
    for entry in fs::read_dir(root().join("crates"))? {
        let dir = entry?.path();
        if dir.ends_with("lab") && !lab {
            continue;
        }
        let Ok(text) = fs::read_to_string(dir.join("debian-packages.txt")) else { continue };
        all.extend(packages(&text).map(str::to_owned));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn packages(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace())
}

fn missing(packages: &[String]) -> Vec<String> {
    let installed = |package: &&String| {
        let query = ["--show", "--showformat=${db:Status-Status}", package.as_str()];
        !ask(&mut command("dpkg-query", query)).is_ok_and(|status| status.trim() == "installed")
    };
    packages.iter().filter(installed).cloned().collect()
}

fn rust_targets() -> anyhow::Result<()> {
    let have = ask(&mut command("rustup", ["target", "list", "--installed"]))
        .context("rustup is needed to add targets: install Rust from https://rustup.rs")?;
    for target in [MUSL, MUSL_ARM] {
        if !have.lines().any(|line| line.trim() == target) {
            execute(&mut command("rustup", ["target", "add", target]))?;
        }
    }
    Ok(())
}

fn go() -> anyhow::Result<()> {
    let said = ask(&mut command("go", ["env", "GOVERSION"]))
        .context("Go 1.26 or newer is needed to build the real servers of the tests")?;
    let minor = said
        .trim()
        .strip_prefix("go1.")
        .and_then(|rest| rest.split(['.', 'r', 'b']).next())
        .and_then(|minor| minor.parse().ok());
    if minor.is_none_or(|minor: u32| minor < 26) {
        bail!(
            "Go 1.26 or newer is needed to build the real servers of the tests, found {}",
            said.trim()
        );
    }
    Ok(())
}

/// The program `cargo-deny`.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

/// The program `cargo-fuzz`. Only one step asks for it: who wants the demo does not wait for it.
pub fn cargo_fuzz() -> anyhow::Result<PathBuf> {
    cargo_tool("cargo-fuzz", CARGO_FUZZ)
}

/// A program from crates.io, built into the cache where it is not there: that takes minutes, once.
fn cargo_tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let dir = artefacts::cache()?.join("tools").join(format!("{name}-{version}"));
    let program = dir.join("bin").join(name);
    if !program.is_file() {
        // A build folder of its own: the checkout's is locked by whoever builds it, and would keep these crates for ever.
        let build = dir.join("build");
        execute(
            cargo(["install", name, "--version", version, "--locked", "--root"])
                .arg(&dir)
                .env("CARGO_TARGET_DIR", &build),
        )?;
        fs::remove_dir_all(&build)?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_have_comments() {
        assert_eq!(packages("# for x\na b # c\n\nd\n").collect::<Vec<_>>(), ["a", "b", "d"]);
    }

    #[test]
    fn what_is_not_installed_is_missing() {
        assert_eq!(missing(&["no-such-package-at-all".to_owned()]), ["no-such-package-at-all"]);
    }
}

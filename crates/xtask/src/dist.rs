//! `cargo xtask dist`: what is given to users, each file the same bytes wherever it is built from the same sources.

pub mod paths;
mod sbom;
mod tarball;

use crate::{
    run::{MUSL, MUSL_ARM, ask, cargo, command, execute, root, say, target_dir},
    site, spec,
    stage::{self, hex, megabytes},
};
use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// What one architecture's program may have, stripped and gzipped: it travels to every host.
const LARGEST: (f64, f64) = (7.0, 3.2);
/// What the tarball may have: Galaxy takes 20 MB.
const LARGEST_TARBALL: f64 = 8.0;

pub fn run() -> anyhow::Result<()> {
    let tree = stage::release()?.join("ansible_collections/quorate/controlplane");
    sizes(&tree)?;
    let dist = target_dir().join("dist");
    if dist.exists() {
        // What an earlier build left is in no table of this one.
        fs::remove_dir_all(&dist).with_context(|| format!("failed to empty {}", dist.display()))?;
    }
    fs::create_dir_all(&dist)?;
    let tarball = tarball::build(&tree, &dist)?;
    let size = megabytes(fs::read(&tarball)?.len());
    ensure!(size <= LARGEST_TARBALL, "the tarball has {size:.2} MB, it may have {LARGEST_TARBALL}");
    standalone(&dist)?;
    let bill = dist.join("sbom.cdx.json");
    fs::write(&bill, serde_json::to_string_pretty(&sbom::sbom()?)? + "\n")?;
    site::check_sbom(&bill)?;
    site::walk(&tarball, &dist.join("library/x86_64"))?;
    table(&dist)
}

fn sizes(tree: &Path) -> anyhow::Result<()> {
    for arch in ["x86_64", "aarch64"] {
        let program = tree.join("bin").join(arch).join("quorate");
        let whole = megabytes(fs::read(&program)?.len());
        let text = ask(command("sh", ["-c", "gzip -9 -c \"$1\" | wc -c", "gzip"]).arg(&program))?;
        let zipped = megabytes(text.trim().parse()?);
        say(&format!("{arch}: {whole:.2} MB, {zipped:.2} MB gzipped"));
        if whole > LARGEST.0 || zipped > LARGEST.1 {
            bail!(
                "the program for {arch} has {whole:.2} MB, {zipped:.2} MB gzipped; it may have {} and {}",
                LARGEST.0,
                LARGEST.1
            );
        }
        names_no_place(&program)?;
    }
    Ok(())
}

/// Fails where a program names a directory of this machine: elsewhere it would be another program.
fn names_no_place(program: &Path) -> anyhow::Result<()> {
    let content = fs::read(program)?;
    let home = std::env::var("HOME").unwrap_or_default();
    for place in [root().display().to_string(), format!("{home}/.cargo"), format!("{home}/.rustup")]
    {
        let found = content.windows(place.len()).any(|window| window == place.as_bytes());
        ensure!(!found, "{} names {place}", program.display());
    }
    Ok(())
}

/// One program a module, for `library/`, without any plugin.
fn standalone(dist: &Path) -> anyhow::Result<()> {
    let modules = spec::modules()?;
    for (arch, target) in [("x86_64", MUSL), ("aarch64", MUSL_ARM)] {
        let mut build =
            cargo(["build", "--workspace", "--profile", "standalone", "--target", target]);
        build.env("CARGO_ENCODED_RUSTFLAGS", paths::remapped()?);
        for module in &modules {
            build.args(["--bin", module.name()]);
        }
        execute(&mut build)?;
        let to = dist.join("library").join(arch);
        fs::create_dir_all(&to)?;
        for module in &modules {
            let made = target_dir().join(target).join("standalone").join(module.name());
            names_no_place(&made)?;
            fs::copy(made, to.join(module.name()))?;
        }
    }
    Ok(())
}

/// Writes `SHA256SUMS` of all that is there, in the form that `sha256sum --check` reads, and shows it with the sizes.
fn table(dist: &Path) -> anyhow::Result<()> {
    let mut sums = String::new();
    say(&format!("\n{:<44} {:>12}  sha256", format!("in {}", dist.display()), "bytes"));
    for path in files(dist)? {
        let content = fs::read(&path)?;
        let sum = hex(&Sha256::digest(&content));
        let name = path.strip_prefix(dist).unwrap_or(&path).display();
        writeln!(sums, "{sum}  {name}")?;
        say(&format!("{:<44} {:>12}  {sum}", name.to_string(), content.len()));
    }
    fs::write(dist.join("SHA256SUMS"), sums)?;
    Ok(())
}

/// The files below a directory, by name.
fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = vec![];
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
    }
    all.sort();
    Ok(all)
}

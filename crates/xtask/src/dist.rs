//! `cargo xtask dist`: the collection's tarball, the standalone programs, and whether they keep their size.

pub mod paths;

use crate::{
    run::{MUSL, MUSL_ARM, ask, cargo, command, execute, in_python_env, say, target_dir},
    spec,
    stage::{self, megabytes},
};
use anyhow::bail;
use std::fs;

/// What one architecture's program may have, stripped and gzipped: it travels to every host, and Galaxy takes 20 MB.
const LARGEST: (f64, f64) = (7.0, 3.2);

pub fn run() -> anyhow::Result<()> {
    let tree = stage::release()?.join("ansible_collections/quorate/controlplane");
    sizes(&tree)?;
    let dist = target_dir().join("dist");
    fs::create_dir_all(&dist)?;
    let mut build = command("ansible-galaxy", ["collection", "build", "--force", "--output-path"]);
    in_python_env(&mut build)?;
    execute(build.arg(&dist).arg(&tree))?;
    standalone()
}

fn sizes(tree: &std::path::Path) -> anyhow::Result<()> {
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
    }
    Ok(())
}

/// One program a module, for `library/`, without any plugin.
fn standalone() -> anyhow::Result<()> {
    let modules = spec::modules()?;
    for (arch, target) in [("x86_64", MUSL), ("aarch64", MUSL_ARM)] {
        let mut build =
            cargo(["build", "--workspace", "--profile", "standalone", "--target", target]);
        for module in &modules {
            build.args(["--bin", module.name()]);
        }
        execute(&mut build)?;
        let to = target_dir().join("dist/library").join(arch);
        fs::create_dir_all(&to)?;
        for module in &modules {
            fs::copy(
                target_dir().join(target).join("standalone").join(module.name()),
                to.join(module.name()),
            )?;
        }
    }
    say(&format!(
        "the tarball and the standalone programs are in {}",
        target_dir().join("dist").display()
    ));
    Ok(())
}

//! Keeps this machine's paths out of the programs: whoever builds the same sources elsewhere gets the same bytes.

use crate::run::{ask, command, root, target_dir};
use anyhow::Context;
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// The value of `CARGO_ENCODED_RUSTFLAGS` for programs that ship.
///
/// A panic names its source file, and so does what a build script wrote. The registry's folder is named for the registry's
/// address: a mirror would make another program.
///
/// # Errors
/// When the compiler does not answer, or there is no home to find cargo's in.
pub fn remapped() -> anyhow::Result<OsString> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let mut names = vec![];
    if let Ok(registries) = fs::read_dir(home.join("registry/src")) {
        for registry in registries {
            names.push(registry?.path());
        }
    }
    names.sort();
    let (library, official) = standard_library()?;
    // Where several match, the last one is taken.
    let mut all = vec![
        (home, "/cargo".to_owned()),
        (root(), "/quorate".to_owned()),
        (target_dir(), "/target".to_owned()),
        (library, official),
    ];
    all.extend(names.into_iter().map(|path| (path, "/crates".to_owned())));
    let flags = all.iter().map(|(from, to)| flag(from, to)).collect::<Vec<_>>();
    Ok(flags.join(std::ffi::OsStr::new("\u{1f}")))
}

fn flag(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

/// The sources of std that some machines have beside the compiler, and the name they have on those that have none.
fn standard_library() -> anyhow::Result<(PathBuf, String)> {
    let sysroot = ask(&mut command("rustc", ["--print", "sysroot"]))?;
    let about = ask(&mut command("rustc", ["-vV"]))?;
    let commit = about
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .context("\"rustc -vV\" names no commit")?;
    let sources = PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust");
    Ok((sources, format!("/rustc/{commit}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_this_machine_gets_another_name() {
        let flags = remapped().unwrap().into_string().unwrap();
        let flags: Vec<_> = flags.split('\u{1f}').collect();
        let own = format!("--remap-path-prefix={}=/quorate", root().display());
        assert!(flags.contains(&own.as_str()), "{flags:?}");
        assert!(flags.iter().all(|flag| flag.starts_with("--remap-path-prefix=/")), "{flags:?}");
    }
}

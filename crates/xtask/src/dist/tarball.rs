//! The collection's tarball, the same bytes from the same tree.

use crate::{
    run::{ask, command, execute, in_python_env},
    spec::field,
    stage::hex,
};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Packs the tree into `to` and returns the tarball.
///
/// `ansible-galaxy collection build` lists files in the order of the file system and stamps them with their times and the
/// day's. What it made is unpacked, sorted and packed again without either.
///
/// # Errors
/// When ansible-galaxy, tar or gzip fails, or the tarball has no file list.
pub fn build(tree: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    build_at(tree, to, source_date()?)
}

fn build_at(tree: &Path, to: &Path, date: u64) -> anyhow::Result<PathBuf> {
    let work = to.join(format!("tarball.{}", std::process::id()));
    let unpacked = work.join("tree");
    fs::create_dir_all(&unpacked)
        .with_context(|| format!("failed to make {}", unpacked.display()))?;
    let mut build = command("ansible-galaxy", ["collection", "build", "--force", "--output-path"]);
    in_python_env(&mut build)?;
    execute(build.arg(&work).arg(tree))?;
    let made = only_tarball(&work)?;
    execute(command("tar", ["--extract", "--gzip", "--file"]).arg(&made).arg("-C").arg(&unpacked))?;
    let names = sort(&unpacked)?;
    let packed = to.join(made.file_name().context("the tarball has no name")?);
    pack(&unpacked, &names, date, &packed.with_extension(""))?;
    fs::remove_dir_all(&work).with_context(|| format!("failed to remove {}", work.display()))?;
    Ok(packed)
}

fn only_tarball(dir: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            return Ok(path);
        }
    }
    bail!("ansible-galaxy left no tarball in {}", dir.display())
}

/// Sorts the list of files, notes its hash where ansible-galaxy looks for it, and returns all names in the order they are packed in.
fn sort(unpacked: &Path) -> anyhow::Result<Vec<String>> {
    let (list, about) = (unpacked.join("FILES.json"), unpacked.join("MANIFEST.json"));
    let mut files = read(&list)?;
    let entries = files.get_mut("files").and_then(Value::as_array_mut);
    let entries = entries.with_context(|| format!("{} has no list \"files\"", list.display()))?;
    let name = |entry: &Value| field(entry, "name").as_str().unwrap_or_default().to_owned();
    entries.sort_by_key(name);
    let mut names = vec!["MANIFEST.json".to_owned(), "FILES.json".to_owned()];
    names.extend(entries.iter().map(name).filter(|name| name != "."));
    let text = write(&list, &files)?;
    let mut manifest = read(&about)?;
    let sum = manifest.pointer_mut("/file_manifest_file/chksum_sha256");
    *sum.with_context(|| format!("{} has no sum of the file list", about.display()))? =
        json!(hex(&Sha256::digest(text)));
    write(&about, &manifest)?;
    Ok(names)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text =
        fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

fn write(path: &Path, value: &Value) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    fs::write(path, &text).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(text)
}

/// Writes `packed` and `packed.gz`, and keeps the latter.
fn pack(tree: &Path, names: &[String], date: u64, packed: &Path) -> anyhow::Result<()> {
    let list = tree.with_extension("names");
    fs::write(&list, names.join("\n"))?;
    let mtime = format!("--mtime=@{date}");
    let alike = ["--format=ustar", "--numeric-owner", "--owner=0", "--group=0", &mtime];
    let mut tar = command("tar", ["--create", "--no-recursion", "--mode=u=rwX,go=rX"]);
    tar.args(alike).arg("-C").arg(tree).arg("--file").arg(packed);
    execute(tar.arg("--verbatim-files-from").arg("--files-from").arg(&list))?;
    // Without the name and the time.
    execute(command("gzip", ["-9", "--no-name", "--force"]).arg(packed))
}

/// When the sources were made, in seconds since 1970: `SOURCE_DATE_EPOCH`, else the commit's time.
fn source_date() -> anyhow::Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => ask(&mut command("git", ["log", "-1", "--format=%ct"])).context(
            "failed to find when the sources were made; outside of a checkout, set SOURCE_DATE_EPOCH",
        )?,
    };
    text.trim().parse().with_context(|| format!("no seconds since 1970: {:?}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;
    use std::time::{Duration, SystemTime};

    /// A file of every kind that a tree has, in the order and with the times that are given.
    fn tree(at: &Path, names: &[&str], age: Duration) {
        for name in names {
            let path = at.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let source = root().join("ansible_collections/quorate/controlplane").join(name);
            fs::write(&path, fs::read(source).unwrap_or_else(|_| name.as_bytes().to_vec()))
                .unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
    }

    #[test]
    fn the_same_tree_makes_the_same_bytes_wherever_and_whenever() {
        let dir = crate::run::target_dir().join(format!("tarballs.{}", std::process::id()));
        let names = ["galaxy.yml", "README.md", "meta/runtime.yml", "bin/x86_64/quorate", "z", "a"];
        let reversed: Vec<_> = names.iter().rev().copied().collect();
        tree(&dir.join("one"), &names, Duration::ZERO);
        tree(&dir.join("another/place"), &reversed, Duration::from_hours(9000));
        let made = |from: &str, to: &str| {
            let to = dir.join(to);
            fs::create_dir_all(&to).unwrap();
            let tarball = build_at(&dir.join(from), &to, 1_000_000_000).unwrap();
            let listed = ask(command("tar", ["-tf"]).arg(&tarball)).unwrap();
            (fs::read(&tarball).unwrap(), listed)
        };
        let (one, listed) = made("one", "to/one");
        let (another, _) = made("another/place", "to/another");
        assert!(one == another, "they differ; one has {listed}");
        let expected = [
            "MANIFEST.json",
            "FILES.json",
            "README.md",
            "a",
            "bin/",
            "bin/x86_64/",
            "bin/x86_64/quorate",
            "meta/",
            "meta/runtime.yml",
            "z",
        ];
        assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! `cargo xtask tidy`: the workspace's own rules (ARCHITECTURE.md), as far as a reader of its files can tell.

use crate::{
    run::{ask, cargo, command, root, say},
    spec::field,
    steps::Tally,
};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LONGEST: usize = 400;

pub fn run() -> anyhow::Result<()> {
    tally().map(|_| say("tidy"))
}

/// Every rule, each with all its offenders.
pub fn tally() -> anyhow::Result<Tally> {
    let workspace = Workspace::read()?;
    let files = tracked()?;
    let mut offences = workspace.arrows();
    offences.extend(workspace.lints()?);
    offences.extend(one_tls_stack(&fs::read_to_string(root().join("Cargo.lock"))?));
    for (path, text) in &files {
        offences.extend(anywhere(path, text));
        if let Some(own) = workspace.product(path) {
            offences.extend(in_product(&own, path, text));
        }
    }
    if offences.is_empty() {
        return Ok(Tally::ONE);
    }
    bail!("{} found:\n  {}", offences.len(), offences.join("\n  "))
}

/// The crates and the arrows between them.
struct Workspace {
    /// Crates that ship, each with the crates of ours that it depends on.
    product: BTreeMap<String, BTreeSet<String>>,
    modules: BTreeSet<String>,
    manifests: Vec<PathBuf>,
}

impl Workspace {
    fn read() -> anyhow::Result<Self> {
        let said: Value = serde_json::from_str(&ask(&mut cargo([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--offline",
        ]))?)?;
        let mut all = BTreeMap::new();
        let mut manifests = vec![];
        for package in
            field(&said, "packages").as_array().context("cargo metadata named no packages")?
        {
            let name = field(package, "name").as_str().unwrap_or_default().to_owned();
            manifests
                .push(PathBuf::from(field(package, "manifest_path").as_str().unwrap_or_default()));
            let ours = field(package, "dependencies").as_array().into_iter().flatten();
            let ours =
                ours.filter(|dep| field(dep, "path").is_string() && *field(dep, "kind") != "dev");
            all.insert(
                name,
                ours.filter_map(|dep| field(dep, "name").as_str().map(str::to_owned))
                    .collect::<BTreeSet<_>>(),
            );
        }
        Ok(Self::of(all, manifests))
    }

    fn of(mut all: BTreeMap<String, BTreeSet<String>>, manifests: Vec<PathBuf>) -> Self {
        let mut reached: Vec<String> = vec!["quorate".into()];
        let mut seen = 0;
        while let Some(next) = reached.get(seen).cloned() {
            seen += 1;
            let more = all
                .get(&next)
                .into_iter()
                .flatten()
                .filter(|dep| !reached.contains(dep))
                .cloned()
                .collect::<Vec<_>>();
            reached.extend(more);
        }
        let modules = all
            .get("quorate")
            .into_iter()
            .flatten()
            .filter(|dep| *dep != "ansible-module")
            .cloned()
            .collect();
        all.retain(|name, _| reached.contains(name));
        Self { product: all, modules, manifests }
    }

    /// Modules -> the APIs and `host` -> `ansible-module`; no module depends on another.
    fn arrows(&self) -> Vec<String> {
        let mut offences = vec![];
        for (name, deps) in &self.product {
            if name == "quorate" {
                continue;
            }
            offences.extend(deps.intersection(&self.modules).map(|dep| {
                format!(
                    "{name} depends on the module {dep}: what both need belongs into an API crate"
                )
            }));
            if !self.modules.contains(name)
                && name != "ansible-module"
                && deps.contains("ansible-module")
            {
                offences.push(format!(
                    "{name} depends on ansible-module: an API crate knows nothing of Ansible"
                ));
            }
        }
        offences
    }

    fn lints(&self) -> anyhow::Result<Vec<String>> {
        let mut offences = vec![];
        for manifest in &self.manifests {
            let text = fs::read_to_string(manifest)?;
            if !text.contains("[lints]\nworkspace = true")
                && !manifest.ends_with("derive/Cargo.toml")
            {
                offences
                    .push(format!("{} does not take the workspace's lints", manifest.display()));
            }
        }
        Ok(offences)
    }

    /// The name of the crate that ships and has this file in its `src`.
    fn product(&self, path: &str) -> Option<String> {
        let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
        let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
        (rest.starts_with("src/") && !is_test && self.product.contains_key(name))
            .then(|| name.to_owned())
    }
}

/// The text files under version control, and those about to be.
fn tracked() -> anyhow::Result<Vec<(String, String)>> {
    let names =
        ask(&mut command("git", ["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let read =
        |name: &str| fs::read_to_string(root().join(name)).ok().map(|text| (name.to_owned(), text));
    Ok(names.lines().filter_map(read).collect())
}

/// Rules for every file.
fn anywhere(path: &str, text: &str) -> Vec<String> {
    let mut offences = vec![];
    let is_code = Path::new(path)
        .extension()
        .is_some_and(|ext| ["rs", "py", "go", "sh"].iter().any(|known| ext == *known));
    let lines = text.lines().count();
    if is_code && lines > LONGEST && !path.contains("/plugins/modules/") {
        offences.push(format!("{path}: {lines} lines, {LONGEST} at most"));
    }
    // Put together here, so that this file has none of them.
    let machine = [concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("artifac", "tory")];
    let unfinished = [
        concat!("#[ign", "ore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
    ];
    for (number, line) in text.lines().enumerate() {
        let at = number + 1;
        if machine.iter().any(|path| line.contains(path)) {
            offences.push(format!("{path}:{at}: a path or host of a development machine"));
        }
        if is_code && unfinished.iter().any(|mark| line.contains(mark)) {
            offences.push(format!("{path}:{at}: unfinished or left out"));
        }
    }
    offences
}

/// A word that may stand in few files only.
struct Only {
    words: &'static [&'static str],
    /// `crate` or `crate/src/file`, without its extension where a folder of that name belongs to it.
    places: &'static [&'static str],
    why: &'static str,
}

const DOORS: &[Only] = &[
    Only {
        words: &["process::Command", "process::{"],
        places: &["host/src/command"],
        why: "only host::command spawns",
    },
    Only {
        words: &["stdout()", "println!(", "print!("],
        places: &["ansible-module/src/reply"],
        why: "only ansible-module's reply writes to stdout",
    },
    Only {
        words: &["check_mode"],
        places: &["ansible-module"],
        why: "check mode is the driver's alone",
    },
];

/// What would let a decision depend on more than its arguments.
const IO: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::io",
    "tokio::",
    "ureq",
    "kube::",
    "etcd_client::",
    "Instant::now",
    "SystemTime::now",
    "host::command",
    "host::file",
    "async fn",
    ".await",
];

/// Rules for what ships. Tests at the end of a file are no part of it.
fn in_product(own: &str, path: &str, text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let inside = path.strip_prefix("crates/").unwrap_or(path);
    let mut offences = vec![];
    let code = |line: &&str| !line.trim_start().starts_with("//");
    for door in DOORS {
        if door.places.iter().any(|place| {
            inside == format!("{place}.rs") || inside.starts_with(&format!("{place}/"))
        }) {
            continue;
        }
        let hits = text
            .lines()
            .enumerate()
            .filter(|(_, line)| code(line) && door.words.iter().any(|word| line.contains(word)));
        offences.extend(hits.map(|(number, _)| format!("{path}:{}: {}", number + 1, door.why)));
    }
    let pure = ["/src/plan.rs", "/src/state.rs", "/src/plan/", "/src/state/"]
        .iter()
        .any(|part| path.contains(part));
    if pure {
        let hits = text
            .lines()
            .enumerate()
            .filter(|(_, line)| code(line) && IO.iter().any(|word| has(line, word)));
        offences.extend(hits.map(|(number, line)| {
            format!("{path}:{}: {own} decides here, and may do no I/O: {}", number + 1, line.trim())
        }));
    }
    offences
}

/// Whether the word begins there: `kube::` is not in `my_kube::`.
fn has(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line
            .get(..at)
            .unwrap_or_default()
            .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
    })
}

/// rustls over ring, once: a second stack doubles the size and has its own ideas of trust.
fn one_tls_stack(lock: &str) -> Vec<String> {
    let names: Vec<_> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let count = |name: &str| names.iter().filter(|known| **known == name).count();
    let foreign = [
        "openssl",
        "openssl-sys",
        "native-tls",
        "aws-lc-rs",
        "aws-lc-sys",
        "boring",
        "boring-sys",
        "mbedtls",
    ];
    let mut offences: Vec<_> = foreign
        .iter()
        .filter(|name| count(name) > 0)
        .map(|name| format!("Cargo.lock has {name}: rustls over ring is the one TLS stack"))
        .collect();
    let twice = ["rustls", "ring"].into_iter().filter(|name| count(name) > 1);
    offences.extend(twice.map(|name| format!("Cargo.lock has {name} more than once")));
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_depends_on_another_is_found() {
        let deps =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let all = [
            ("quorate", deps(&["a", "b", "ansible-module"])),
            ("a", deps(&["b", "api"])),
            ("b", deps(&["ansible-module"])),
            ("api", deps(&["ansible-module"])),
            ("lab", deps(&["a"])),
        ];
        let workspace = Workspace::of(
            all.into_iter().map(|(name, deps)| (name.to_owned(), deps)).collect(),
            vec![],
        );
        let offences = workspace.arrows().join("\n");
        assert!(
            offences.contains("a depends on the module b")
                && offences.contains("api depends on ansible-module")
                && !offences.contains("lab"),
            "{offences}"
        );
        assert_eq!(workspace.product("crates/a/src/plan.rs").as_deref(), Some("a"));
        assert!(
            workspace.product("crates/lab/src/main.rs").is_none()
                && workspace.product("crates/a/tests/it/main.rs").is_none()
        );
    }

    #[test]
    fn doors_are_kept() {
        let of = |path: &str, text: &str| in_product("x", path, text).len();
        assert_eq!(of("crates/x/src/live.rs", "use std::process::Command;"), 1);
        assert_eq!(of("crates/host/src/command.rs", "use std::process::Command;"), 0);
        assert_eq!(
            of(
                "crates/x/src/plan.rs",
                "// std::fs is for others\nuse std::fs;\n#[cfg(test)]\nmod tests {\nuse std::fs; }"
            ),
            1
        );
        assert_eq!(of("crates/x/src/plan.rs", "use my_kube::Node; use kube_cluster::Node;"), 0);
        assert_eq!(of("crates/x/src/lib.rs", "if request.check_mode {}"), 1);
    }

    #[test]
    fn a_second_tls_stack_is_found() {
        assert_eq!(one_tls_stack("name = \"rustls\"\nname = \"ring\"\n").len(), 0);
        assert_eq!(
            one_tls_stack("name = \"rustls\"\nname = \"rustls\"\nname = \"openssl\"\n").len(),
            2
        );
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(anywhere("crates/x/src/a.rs", &"x\n".repeat(401)).len(), 1);
        assert_eq!(anywhere("crates/x/tests/cases/a.json", &"x\n".repeat(401)).len(), 0);
        assert_eq!(anywhere("a.md", concat!("see /wo", "rk/main")).len(), 1);
    }
}

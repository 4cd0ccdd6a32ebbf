//! What the programs are made of, as `CycloneDX`: the crates that are linked into them, the standard library and musl.
//!
//! Which they are says `cargo tree`; `cargo metadata` takes in what only tests switch on. Without a random serial number and without a time: the same
//! sources make the same bytes.

use crate::{
    run::{MUSL, MUSL_ARM, ask, cargo, command, root},
    spec::field,
};
use anyhow::Context;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// The program that ships; the standalone ones are parts of it.
const PROGRAM: &str = "quorate";
const STD: &str = "rust-std";

/// The bill of materials.
///
/// # Errors
/// When cargo or rustc does not answer as expected.
pub fn sbom() -> anyhow::Result<Value> {
    let said: Value = serde_json::from_str(&ask(&mut cargo([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        MUSL,
        "--filter-platform",
        MUSL_ARM,
    ]))?)?;
    let rustc = ask(&mut command("rustc", ["-V"]))?;
    let rustc = rustc.split(' ').nth(1).context("\"rustc -V\" names no version")?;
    let sums = checksums(&fs::read_to_string(root().join("Cargo.lock"))?);
    let crates = Crates::of(&said, &linked()?)?;
    let mut components: Vec<_> =
        crates.linked.keys().map(|id| component(crates.package(id), &sums)).collect();
    components.push(standard_library(rustc));
    let dependencies: Vec<_> =
        crates.linked.iter().map(|(id, deps)| crates.depends(id, deps)).collect();
    let program = crates.package(&crates.program);
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {
            "type": "application",
            "bom-ref": "quorate.controlplane",
            "name": "quorate.controlplane",
            "version": field(program, "version"),
            "description": "An Ansible collection; the components are those of its programs.",
        }},
        "components": components,
        "dependencies": dependencies,
    }))
}

/// The crates that the program is linked from.
struct Crates<'a> {
    packages: BTreeMap<&'a str, &'a Value>,
    program: String,
    /// Each with those it depends on.
    linked: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Crates<'a> {
    fn of(said: &'a Value, wanted: &BTreeSet<String>) -> anyhow::Result<Self> {
        let by_id = |all: &'a Value| -> BTreeMap<&'a str, &'a Value> {
            let all = all.as_array().into_iter().flatten();
            all.filter_map(|one| Some((field(one, "id").as_str()?, one))).collect()
        };
        let packages = by_id(field(said, "packages"));
        let nodes = by_id(field(field(said, "resolve"), "nodes"));
        let program = packages
            .iter()
            .find_map(|(id, package)| (*field(package, "name") == PROGRAM).then_some(*id))
            .with_context(|| format!("cargo metadata names no crate {PROGRAM:?}"))?;
        let mut linked = BTreeMap::new();
        let mut left = vec![program.to_owned()];
        while let Some(id) = left.pop() {
            let deps = nodes.get(id.as_str()).map(|node| field(node, "deps"));
            let deps: BTreeSet<_> = deps
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter(|dep| is_linked(dep))
                .filter_map(|dep| field(dep, "pkg").as_str())
                .filter(|id| packages.get(id).is_some_and(|own| wanted.contains(&reference(own))))
                .map(str::to_owned)
                .collect();
            left.extend(deps.iter().filter(|id| !linked.contains_key(*id)).cloned());
            linked.insert(id, deps);
        }
        Ok(Self { packages, program: program.to_owned(), linked })
    }

    fn package(&self, id: &str) -> &'a Value {
        self.packages.get(id).copied().unwrap_or(&Value::Null)
    }

    fn depends(&self, id: &str, deps: &BTreeSet<String>) -> Value {
        let mut on: Vec<_> = deps.iter().map(|id| reference(self.package(id))).collect();
        if id == self.program {
            on.push(STD.to_owned());
        }
        json!({"ref": reference(self.package(id)), "dependsOn": on})
    }
}

/// The crates below the program, by name and version, for either architecture. With the whole workspace, as the program is built: a feature that one crate
/// asks for is there for all.
fn linked() -> anyhow::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for target in [MUSL, MUSL_ARM] {
        let which = ["tree", "--workspace", "--edges", "normal,no-proc-macro", "--target", target];
        let said = ask(cargo(which).args(["--locked", "--prefix", "depth", "--no-dedupe"]))?;
        all.extend(below(&said));
    }
    Ok(all)
}

/// Reads lines such as `1anyhow v1.0.104` that follow the one of the program.
fn below(tree: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut all = BTreeSet::new();
    for line in tree.lines() {
        let name = line.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let mut words = name.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        if line.starts_with('0') {
            inside = name == PROGRAM;
        }
        if inside {
            all.insert(format!("{name}@{}", version.trim_start_matches('v')));
        }
    }
    all
}

/// Not for tests, and not for building alone.
fn is_linked(dep: &Value) -> bool {
    let mut kinds = field(dep, "dep_kinds").as_array().into_iter().flatten();
    kinds.any(|kind| field(kind, "kind").is_null())
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    field(package, key).as_str().unwrap_or_default()
}

/// A crate by name and version.
fn reference(package: &Value) -> String {
    format!("{}@{}", text(package, "name"), text(package, "version"))
}

fn component(package: &Value, sums: &BTreeMap<String, String>) -> Value {
    let mut own = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": field(package, "name"),
        "version": field(package, "version"),
        "scope": "required",
        "licenses": [{"expression": licence(text(package, "license"))}],
    });
    // Ours are not in the registry; another crate there may have the name of one.
    if let (Some(own), Some(sum)) = (own.as_object_mut(), sums.get(&reference(package))) {
        own.insert("purl".into(), json!(format!("pkg:cargo/{}", reference(package))));
        own.insert("hashes".into(), json!([{"alg": "SHA-256", "content": sum}]));
    }
    own
}

/// `MIT/Apache-2.0` is what crates wrote before there were expressions.
fn licence(text: &str) -> String {
    text.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// rustup brings them as one, compiled.
fn standard_library(rustc: &str) -> Value {
    json!({
        "type": "framework",
        "bom-ref": STD,
        "name": STD,
        "version": rustc,
        "scope": "required",
        "description": "Rust's standard library, and the musl libc that comes with it.",
        "licenses": [{"expression": "(MIT OR Apache-2.0) AND MIT"}],
        "purl": format!("pkg:generic/{STD}@{rustc}"),
    })
}

/// The sums of the registry's crates, by name and version.
fn checksums(lock: &str) -> BTreeMap<String, String> {
    let one = |package: &str| {
        let value = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        Some((format!("{}@{}", value("name")?, value("version")?), value("checksum")?.to_owned()))
    };
    lock.split("[[package]]").filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same of the program alone.
    fn tree(target: &str) -> BTreeSet<String> {
        let which = ["tree", "--package", PROGRAM, "--edges", "normal,no-proc-macro"];
        let how = ["--target", target, "--prefix", "depth", "--no-dedupe"];
        below(&ask(cargo(which).args(how)).unwrap())
    }

    #[test]
    fn every_crate_of_the_program_is_named_with_its_licence_and_its_sum() {
        let sbom = sbom().unwrap();
        let named: BTreeMap<_, _> = field(&sbom, "components")
            .as_array()
            .unwrap()
            .iter()
            .map(|component| (text(component, "bom-ref"), component))
            .collect();
        for target in [MUSL, MUSL_ARM] {
            let missing: Vec<_> = tree(target)
                .into_iter()
                .filter(|name| !named.contains_key(name.as_str()))
                .collect();
            assert!(missing.is_empty(), "{target}: {missing:?}");
        }
        let ring = named.iter().find(|(name, _)| name.starts_with("ring@")).unwrap().1;
        assert_eq!(field(ring, "licenses"), &json!([{"expression": "Apache-2.0 AND ISC"}]));
        assert!(ring.pointer("/hashes/0/content").unwrap().as_str().unwrap().len() == 64);
        for (name, component) in &named {
            let licence = component.pointer("/licenses/0/expression").unwrap().as_str().unwrap();
            assert!(!licence.is_empty() && !licence.contains('/'), "{name}: {licence:?}");
        }
        for foreign in ["xtask@", "testkit@", "tempfile@", "syn@", "cookie_store@"] {
            assert!(!named.keys().any(|name| name.starts_with(foreign)), "{foreign} is not in it");
        }
    }

    #[test]
    fn what_stands_below_the_program_is_read() {
        let tree = "0lab v0.1.0 (/x)\n1nix v0.31.1\n\n0quorate v0.1.0 (/y)\n1host v0.1.0 (/z)\n12nix v0.30.2\n0xtask v0.1.0 (/t)\n";
        let expected = ["host@0.1.0", "nix@0.30.2", "quorate@0.1.0"];
        assert_eq!(below(tree).iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_lock_has_a_sum_for_what_the_registry_brings() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2\"\nsource = \"x\"\nchecksum = \"00ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1\"\n";
        let sums = checksums(lock);
        assert_eq!((sums.len(), sums.get("a@1.2").map(String::as_str)), (1, Some("00ff")));
    }
}

//! `cargo xtask docs`: the modules' documentation, routing and table, from their Rust types.

use crate::{
    run::{root, say},
    site,
    spec::{self, Module},
};
use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const COLLECTION: &str = "ansible_collections/quorate/controlplane";
const HEADER: &str = "\
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
";
const GENERATED: &str = "# Written by \"cargo xtask docs\" from the options of the program; the module itself is compiled.\n";

pub fn run(args: &[String]) -> anyhow::Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(&files(&spec::modules()?)?),
        ["--check"] => check_built(),
        ["--site"] => site::build(),
        other => bail!("unknown arguments {other:?}: [--check|--site]"),
    }
}

/// Fails where the committed files differ from what the program says.
pub fn check_built() -> anyhow::Result<()> {
    check(&files(&spec::modules()?)?)
}

type Files = BTreeMap<PathBuf, String>;

fn check(files: &Files) -> anyhow::Result<()> {
    let mut differ: Vec<_> = files
        .iter()
        .filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text))
        .map(|(path, _)| path.clone())
        .collect();
    differ.extend(left_over(files)?);
    if differ.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = differ
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap_or(path).display().to_string())
        .collect();
    bail!(
        "out of step with the Rust types: {}; run \"cargo xtask docs\" and commit what it wrote",
        names.join(", ")
    )
}

fn write(files: &Files) -> anyhow::Result<()> {
    for (path, text) in files {
        if fs::read_to_string(path).ok().as_ref() != Some(text) {
            say(&format!("writing {}", path.strip_prefix(root()).unwrap_or(path).display()));
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
        }
    }
    for path in left_over(files)? {
        say(&format!("removing {}", path.display()));
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// Documentation of modules that are no more.
fn left_over(files: &Files) -> anyhow::Result<Vec<PathBuf>> {
    let dir = root().join(COLLECTION).join("plugins/modules");
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(vec![]) };
    let mut all = vec![];
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "py") && !files.contains_key(&path) {
            all.push(path);
        }
    }
    Ok(all)
}

fn files(modules: &[Module]) -> anyhow::Result<Files> {
    let collection = root().join(COLLECTION);
    let mut files = Files::new();
    for module in modules {
        files.insert(
            collection.join(format!("plugins/modules/{}.py", module.name())),
            python(module),
        );
    }
    files.insert(collection.join("meta/runtime.yml"), runtime(modules));
    for readme in [collection.join("README.md"), root().join("README.md")] {
        if let Some(text) = with_table(&readme, modules)? {
            files.insert(readme, text);
        }
    }
    Ok(files)
}

/// A documentation-only Python file.
fn python(module: &Module) -> String {
    let doc = documentation(module);
    let returns = returns(module);
    let quote = "'''";
    format!(
        "#!/usr/bin/python\n{HEADER}{GENERATED}\nfrom __future__ import annotations\n\n\
         DOCUMENTATION = r{quote}\n---\n{doc}{quote}\n\n\
         EXAMPLES = r{quote}\n---\n{examples}\n{quote}\n\n\
         RETURN = r{quote}\n---\n{returns}{quote}\n",
        examples = module.examples().trim_start_matches("---").trim(),
    )
}

fn documentation(module: &Module) -> String {
    let about = module.about();
    let short =
        about.first().map(|first| first.trim_end_matches('.').to_owned()).unwrap_or_default();
    let diff = if module.is_read_only() {
        ("N/A", "It changes nothing.")
    } else {
        ("full", "Shows the state before and after, as it returns them.")
    };
    let pairs = [
        ("module", json!(module.name())),
        ("short_description", json!(short)),
        ("version_added", json!("0.1.0")),
        ("description", json!(about)),
        ("author", json!(["Quorate contributors (@quorate)"])),
        ("options", without_no_log(module.options())),
        (
            "attributes",
            json!({
                "action_group": {"support": "full", "membership": ["quorate.controlplane.all"], "description": "Takes the defaults of a group of modules."},
                "check_mode": {"support": "full", "description": "Predicts without changing anything."},
                "diff_mode": {"support": diff.0, "details": [diff.1], "description": "Shows what differs."},
                "platform": {"support": "full", "platforms": "posix", "description": "Runs on Linux, on x86_64 and aarch64. The target needs no Python."},
            }),
        ),
        ("requirements", json!(["A POSIX shell with uname and sha256sum on the target."])),
    ];
    pairs
        .iter()
        .filter(|(_, value)| !is_empty(value))
        .fold(String::new(), |text, (key, value)| text + &entry(key, value, 0))
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// The validator wants to know what is secret; documentation has no word for it.
fn without_no_log(options: &Value) -> Value {
    let one = |(name, option): (&String, &Value)| {
        let mut own = option.as_object().cloned().unwrap_or_default();
        own.remove("no_log");
        own.remove("rules");
        if let Some(sub) = own.get("suboptions").map(without_no_log) {
            own.insert("suboptions".into(), sub);
        }
        (name.clone(), own.into())
    };
    options.as_object().into_iter().flatten().map(one).collect::<Map<_, Value>>().into()
}

fn returns(module: &Module) -> String {
    let mut all: Map<String, Value> = module.returns().as_object().cloned().unwrap_or_default();
    if !module.is_read_only() {
        let list = |returned: &str, text: &str| json!({"type": "list", "elements": "str", "returned": returned, "description": [text]});
        all.insert(
            "steps".into(),
            list("success", "What was done, or in check mode would be done, a sentence each."),
        );
        all.insert("before".into(), json!({"type": "dict", "returned": "success", "description": ["The returned values as they were before."]}));
        all.insert("steps_done".into(), list("failure", "What was done before the failure."));
        all.insert(
            "steps_in_doubt".into(),
            list(
                "failure",
                "What was sent and whose effect was not seen. Running the task again finds out.",
            ),
        );
        all.insert("steps_left".into(), list("failure", "What was not begun."));
    }
    all.insert("refused".into(), json!({"type": "bool", "returned": "when refused", "description": ["The module decided not to act. Nothing was changed."]}));
    all.insert(
        "refusal".into(),
        json!({"type": "dict", "returned": "when refused", "description": ["Why the module decided not to act."], "contains": {
            "code": {"type": "str", "returned": "always", "description": ["The reason, for programs."]},
            "text": {"type": "str", "returned": "always", "description": ["What was observed, what was needed, and the way out."]},
            "standing": {"type": "str", "returned": "always", "description": ["V(passing) goes away by itself, V(unmet) when an earlier task has run, V(final) not without a decision."]},
        }}),
    );
    all.iter().fold(String::new(), |text, (key, value)| text + &entry(key, value, 0))
}

fn runtime(modules: &[Module]) -> String {
    let names: Vec<_> = modules.iter().map(Module::name).collect();
    let family = |prefix: &str| {
        names.iter().copied().filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
    };
    let groups = [
        ("all", names.clone()),
        ("etcd", family("etcd_")),
        ("kubeadm", family("kubeadm_")),
        ("pve", family("pve_")),
    ];
    let mut text = format!(
        "---\n{}requires_ansible: \">=2.16.0\"\naction_groups:\n",
        GENERATED.replace("; the module itself is compiled", "")
    );
    for (group, members) in groups.iter().filter(|(_, members)| !members.is_empty()) {
        let _ = writeln!(text, "  {group}:");
        for name in members {
            let _ = writeln!(text, "    - {name}");
        }
    }
    text += "plugin_routing:\n  modules:\n";
    for name in &names {
        let _ = writeln!(text, "    {name}:\n      action_plugin: quorate.controlplane.quorate");
    }
    text
}

/// The file with its table of modules, or nothing where it has no place for one.
fn with_table(readme: &Path, modules: &[Module]) -> anyhow::Result<Option<String>> {
    const BEGIN: &str = "<!-- modules: written by cargo xtask docs -->\n";
    const END: &str = "<!-- end of modules -->";
    let Ok(text) = fs::read_to_string(readme) else { return Ok(None) };
    let Some((before, rest)) = text.split_once(BEGIN) else { return Ok(None) };
    let (_, after) =
        rest.split_once(END).with_context(|| format!("{} has no {END:?}", readme.display()))?;
    let mut table = "| module | what it does |\n|---|---|\n".to_owned();
    for module in modules {
        let _ = writeln!(
            table,
            "| `{}` | {} |",
            module.name(),
            module.about().first().map(String::as_str).unwrap_or_default()
        );
    }
    Ok(Some(format!("{before}{BEGIN}{table}{END}{after}")))
}

/// The order in which people read; the rest follows by name.
const ORDER: [&str; 10] = [
    "description",
    "type",
    "elements",
    "required",
    "returned",
    "default",
    "choices",
    "aliases",
    "suboptions",
    "contains",
];

/// One `key: value` of YAML. Strings are written as JSON writes them, which YAML reads alike.
fn entry(key: &str, value: &Value, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<_> = map.iter().collect();
            let place =
                |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
            // What describes has its own order; a mapping of names keeps theirs.
            if map.contains_key("description") {
                keys.sort_by_key(|(name, _)| place(name));
            }
            keys.iter().fold(format!("{pad}{key}:\n"), |text, (name, value)| {
                text + &entry(name, value, depth + 1)
            })
        }
        Value::Array(all) if !all.is_empty() => all
            .iter()
            .fold(format!("{pad}{key}:\n"), |text, item| format!("{text}{pad}  - {item}\n")),
        other => format!("{pad}{key}: {other}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_written_in_the_order_people_read() {
        let value = json!({"id": {"type": "str", "description": ["The \"id\"."], "default": "a"}, "tls": {"type": "dict", "description": ["x"], "suboptions": {"ca": {"type": "path", "description": ["y"]}}}});
        let text = "options:\n  id:\n    description:\n      - \"The \\\"id\\\".\"\n    type: \"str\"\n    default: \"a\"\n  tls:\n    description:\n      - \"x\"\n    type: \"dict\"\n    suboptions:\n      ca:\n        description:\n          - \"y\"\n        type: \"path\"\n";
        assert_eq!(entry("options", &value, 0), text);
    }
}

//! What the built program says of its modules: the one source of documentation and of the controller's `argument_spec`.

use crate::run::{MUSL, ask, cargo, command, execute, target_dir};
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// A member of an object; null where there is none.
pub fn field<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// One module, as `quorate --spec` describes it.
pub struct Module(Value);

impl Module {
    /// Its name, without the collection.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// The paragraphs about it; the first is one sentence.
    pub fn about(&self) -> Vec<String> {
        self.text("about")
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " ").trim().to_owned())
            .collect()
    }

    /// Whether it never changes anything.
    pub fn is_read_only(&self) -> bool {
        *field(&self.0, "read_only") == json!(true)
    }

    /// Examples, as YAML.
    pub fn examples(&self) -> &str {
        self.text("examples").trim()
    }

    /// Options, in the shape of Ansible's `options:`.
    pub fn options(&self) -> &Value {
        field(&self.0, "options")
    }

    /// Returned values, in the shape of Ansible's `RETURN`.
    pub fn returns(&self) -> &Value {
        field(&self.0, "returns")
    }

    /// The keyword arguments of `ArgumentSpecValidator`.
    pub fn argument_spec(&self) -> Value {
        validator(self.options(), field(&self.0, "rules"), "argument_spec")
    }

    fn text(&self, key: &str) -> &str {
        field(&self.0, key).as_str().unwrap_or_default()
    }
}

/// Builds the development program and returns its path.
pub fn program() -> anyhow::Result<PathBuf> {
    execute(&mut cargo(["build", "--quiet", "--workspace", "--bin", "quorate", "--target", MUSL]))?;
    Ok(target_dir().join(MUSL).join("debug/quorate"))
}

/// Builds the module of the protocol tests that waits and gets into trouble, and returns the program's path.
pub fn trouble() -> anyhow::Result<PathBuf> {
    let example = ["build", "--quiet", "--workspace", "--example", "trouble", "--target", MUSL];
    execute(&mut cargo(example))?;
    Ok(target_dir().join(MUSL).join("debug/examples/trouble"))
}

/// Asks the built program.
pub fn modules() -> anyhow::Result<Vec<Module>> {
    let said = ask(&mut command(program()?, ["--spec"]))?;
    parse(&said).context("failed to read what \"quorate --spec\" said")
}

fn parse(said: &str) -> anyhow::Result<Vec<Module>> {
    let all: Value = serde_json::from_str(said)?;
    let modules = field(&all, "modules").as_array().context("there are no modules in it")?;
    Ok(modules.iter().cloned().map(Module).collect())
}

/// Options and the rules between them, named as Ansible's validator wants them: `argument_spec` at the top, `options` below.
fn validator(options: &Value, rules: &Value, key: &str) -> Value {
    let mut all: Map<String, Value> = rules.as_object().cloned().unwrap_or_default();
    // A mapping there, where the other rules are lists of lists.
    if let Some(pairs) = all.get("required_by").and_then(Value::as_array) {
        let by: Map<_, _> = pairs
            .iter()
            .filter_map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.clone())))
            .collect();
        all.insert("required_by".into(), by.into());
    }
    let table =
        options.as_object().into_iter().flatten().map(|(name, option)| (name.clone(), one(option)));
    all.insert(key.into(), table.collect::<Map<_, _>>().into());
    all.into()
}

fn one(option: &Value) -> Value {
    let mut own: Map<String, Value> = option.as_object().cloned().unwrap_or_default();
    own.remove("description");
    let rules = own.remove("rules").unwrap_or_default();
    if let Some(Value::Object(below)) =
        own.remove("suboptions").map(|sub| validator(&sub, &rules, "options"))
    {
        own.extend(below);
    }
    own.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_gets_what_the_program_checks() {
        let said = json!({"modules": [{
            "name": "m", "about": "Does one thing.\n\nAnd says\nhow.", "read_only": false,
            "options": {
                "id": {"type": "str", "description": ["Id."], "aliases": ["member"]},
                "tls": {"type": "dict", "description": [], "suboptions": {"ca": {"type": "path", "required": true, "description": []}}, "rules": {}},
            },
            "rules": {"required_by": [["id", ["tls"]]], "required_if": [["state", "absent", ["id"], true]]},
        }]});
        let modules = parse(&said.to_string()).unwrap();
        assert_eq!(modules[0].about(), ["Does one thing.", "And says how."]);
        let expected = json!({
            "argument_spec": {
                "id": {"type": "str", "aliases": ["member"]},
                "tls": {"type": "dict", "options": {"ca": {"type": "path", "required": true}}},
            },
            "required_by": {"id": ["tls"]},
            "required_if": [["state", "absent", ["id"], true]],
        });
        assert_eq!(modules[0].argument_spec(), expected);
    }
}

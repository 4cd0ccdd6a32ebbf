//! From what was written to one map of canonical names, with defaults.

use super::{At, Given, Opt, Options, Value, value::of_class};
use crate::{BadArgs, Json};
use serde_json::Map;

pub(super) const NO_DICT: &str = "dictionary requested, could not parse JSON or key=value";

/// Brings the arguments into their canonical form: aliases to names, defaults filled in. The second value refuses names that
/// are unknown: Ansible's own validator says that last, when everything else holds.
///
/// # Errors
/// The first thing that is wrong, in the words and the order of Ansible's own validator.
pub fn normal<T: Options>(at: &At, value: &Json) -> Result<(Given, Option<BadArgs>), BadArgs> {
    let parsed;
    let given = match value {
        Json::Object(given) => given,
        Json::String(text) => {
            parsed = dict_from(text).ok_or_else(|| at.not_a("dict", value, NO_DICT))?;
            &parsed
        }
        other => {
            return Err(at.not_a("dict", other, &of_class(other, "dict")));
        }
    };
    let mut map = Map::new();
    let mut unknown: Vec<String> = vec![];
    for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        match find(T::TABLE, key) {
            Some(opt) => _ = map.insert(opt.name.to_owned(), value.clone()),
            None => unknown.push(key.clone()),
        }
    }
    let unknown = (!unknown.is_empty()).then(|| unsupported(at, T::TABLE, &mut unknown));
    super::rules::exclusive(at, T::RULES, &map)?;
    for opt in T::TABLE {
        if let Some(default) = opt.default {
            map.entry(opt.name).or_insert_with(|| default.into());
        }
    }
    let missing: Vec<_> = T::TABLE
        .iter()
        .filter(|opt| opt.ty.required && !map.contains_key(opt.name))
        .map(|opt| opt.name)
        .collect();
    if !missing.is_empty() {
        return Err(BadArgs::new(format!(
            "missing required arguments: {}{}",
            missing.join(", "),
            inside(at)
        )));
    }
    Ok((map, unknown))
}

/// One field out of the canonical map.
///
/// # Errors
/// When the value cannot be converted.
pub fn field<T: Value>(map: &Map<String, Json>, parent: &At, name: &str) -> Result<T, BadArgs> {
    let at = At { name, parent: Some(parent) };
    map.get(name).map_or_else(|| T::absent(&at), |value| T::decode(&at, value))
}

fn find(table: &'static [Opt], key: &str) -> Option<&'static Opt> {
    table.iter().find(|opt| opt.name == key || opt.aliases.contains(&key))
}

/// ` found in d` for an error about the dict itself.
pub(super) fn inside(at: &At) -> String {
    At { name: "", parent: Some(at) }.found_in()
}

fn unsupported(at: &At, table: &[Opt], unknown: &mut [String]) -> BadArgs {
    unknown.sort();
    let prefix = inside(at)
        .strip_prefix(" found in ")
        .map(|path| path.replace(" -> ", ".") + ".")
        .unwrap_or_default();
    let unknown: Vec<_> = unknown.iter().map(|name| format!("{prefix}{name}")).collect();
    let mut known: Vec<_> = table
        .iter()
        .map(|opt| {
            if opt.aliases.is_empty() {
                opt.name.to_owned()
            } else {
                format!("{} ({})", opt.name, opt.aliases.join(", "))
            }
        })
        .collect();
    known.sort();
    BadArgs::unsupported(format!(
        "{}. Supported parameters include: {}.",
        unknown.join(", "),
        known.join(", ")
    ))
}

/// A dict written as JSON or as `k=v, k2=v2`, as Ansible's short form has it.
pub(super) fn dict_from(text: &str) -> Option<Map<String, Json>> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).ok();
    }
    let pairs = text.split([',', ' ']).map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            pair.split_once('=')
                .map(|(key, value)| (key.trim().to_owned(), Json::from(value.trim())))
        })
        .collect()
}

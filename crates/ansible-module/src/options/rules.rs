//! Rules between options.

use super::{At, Options, table::inside};
use crate::{BadArgs, Json};
use serde_json::Map;

fn names(text: &str) -> Vec<&str> {
    text.split(['|', ',']).map(str::trim).collect()
}

/// `mutually_exclusive`, which Ansible checks before defaults are filled in.
pub(super) fn exclusive(
    at: &At,
    rules: &[(&str, &str)],
    map: &Map<String, Json>,
) -> Result<(), BadArgs> {
    for (_, text) in rules.iter().filter(|(rule, _)| *rule == "mutually_exclusive") {
        if names(text).iter().filter(|name| map.contains_key(**name)).count() > 1 {
            let text = names(text).join("|");
            return Err(BadArgs::new(format!(
                "parameters are mutually exclusive: {text}{}",
                inside(at)
            )));
        }
    }
    Ok(())
}

/// Checks `required_together`, `required_one_of`, `required_if` and `required_by`, in Ansible's order.
///
/// # Errors
/// The first rule that does not hold.
pub fn rules<T: Options>(at: &At, map: &Map<String, Json>) -> Result<(), BadArgs> {
    for rule in ["required_together", "required_one_of", "required_if", "required_by"] {
        for (_, text) in T::RULES.iter().filter(|(name, _)| *name == rule) {
            if let Some(broken) = broken(rule, text, map) {
                return Err(BadArgs::new(broken + &inside(at)));
            }
        }
    }
    Ok(())
}

fn broken(rule: &str, text: &str, map: &Map<String, Json>) -> Option<String> {
    let has = |name: &&str| map.contains_key(*name);
    let lacking =
        |all: &[&str]| all.iter().copied().filter(|name| !has(name)).collect::<Vec<_>>().join(", ");
    match rule {
        "required_together" => {
            let all = names(text);
            (all.iter().any(has) && !all.iter().all(has))
                .then(|| format!("parameters are required together: {}", all.join(", ")))
        }
        "required_one_of" => {
            let any = names(text);
            (!any.iter().any(has))
                .then(|| format!("one of the following is required: {}", any.join(", ")))
        }
        "required_if" => {
            let (when, needs) = text.split_once(':')?;
            let (key, value) = when.split_once('=')?;
            let holds = map.get(key).is_some_and(|is| {
                is.as_str().map_or_else(|| is.to_string(), str::to_owned) == value
            });
            let (all, any) = (names(needs), needs.contains('|'));
            let (quantity, met) =
                if any { ("any", all.iter().any(has)) } else { ("all", all.iter().all(has)) };
            (holds && !met).then(|| {
                format!(
                    "{key} is {value} but {quantity} of the following are missing: {}",
                    lacking(&all)
                )
            })
        }
        "required_by" => {
            let (key, needs) = text.split_once(':')?;
            let lacking = lacking(&names(needs));
            (map.contains_key(key) && !lacking.is_empty())
                .then(|| format!("missing parameter(s) required by '{key}': {lacking}"))
        }
        _ => None,
    }
}

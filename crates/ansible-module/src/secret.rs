//! Values that must not be seen.

use crate::{
    BadArgs, Json,
    options::{At, Shape, Type, Value},
};
use std::{fmt, sync::Mutex};

/// Every secret that was read, so that it can be taken out of whatever leaves the program.
static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Shorter ones would blot out ordinary text (a password `a` is no reason to print `f*iled`); Ansible has no such limit and suffers for it.
const SHORTEST: usize = 4;

/// A value whose `Debug` and `Serialize` say nothing, and that is scrubbed from every string that leaves the program.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value and remembers it, so that no reply can contain it.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        if value.len() >= SHORTEST {
            let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !known.contains(&value) {
                known.push(value.clone());
                // The longest first: a secret that contains another must not leave its tail behind.
                known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
            }
        }
        Self(value)
    }

    /// The value itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl Shape for Secret {
    const TYPE: Type = Type { no_log: true, ..Type::plain("str") };
}

impl Value for Secret {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        String::decode(at, value).map(Self::new)
    }
}

/// What Ansible shows in the place of a secret option.
pub const HIDDEN: &str = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER";

/// Takes every known secret out of a text. Must not block: it is called by the panic hook.
pub(crate) fn scrub(text: &str) -> String {
    let Ok(known) = KNOWN.try_lock() else {
        return "(a text that could not be checked for secrets was left out)".into();
    };
    known.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) {
            text.replace(secret.as_str(), "********")
        } else {
            text
        }
    })
}

/// Takes every known secret out of every string of a value, keys included.
pub(crate) fn scrub_json(value: &mut Json) {
    match value {
        Json::String(text) => *text = scrub(text),
        Json::Array(all) => all.iter_mut().for_each(scrub_json),
        Json::Object(map) => {
            let pairs = std::mem::take(map).into_iter().map(|(key, mut value)| {
                scrub_json(&mut value);
                (scrub(&key), value)
            });
            *map = pairs.collect();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_of_everything() {
        let secret = Secret::new("hunter2-long");
        let _ = Secret::new("hunter2");
        let mut reply =
            serde_json::json!({"msg": "token hunter2-long refused", "hunter2": ["x hunter2 y"]});
        scrub_json(&mut reply);
        assert_eq!(
            reply,
            serde_json::json!({"msg": "token ******** refused", "********": ["x ******** y"]})
        );
        assert_eq!(
            format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()),
            format!("Secret(..) \"{HIDDEN}\"")
        );
    }
}

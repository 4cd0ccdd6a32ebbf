//! What Ansible hands to a module.

use crate::Json;
use anyhow::{Context, bail};
use serde_json::Map;
use std::io::Read;

/// Larger ones are no arguments: ansible-core itself fails far below.
const LARGEST: u64 = 256 << 20;

/// The user's arguments, and what of Ansible's own concerns a module.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The user's arguments.
    pub args: Map<String, Json>,
    /// Predict only.
    pub check: bool,
    /// Show a diff.
    pub diff: bool,
    /// Fully qualified name of the module as the task resolved it; empty when run by hand.
    pub module: String,
    /// Version of ansible-core, as `(major, minor)`.
    pub version: Option<(u32, u32)>,
    /// Since 2.21 `invocation` is asked for; before, it is always wanted.
    pub inject_invocation: Option<bool>,
}

impl Request {
    /// Reads the request from the file that Ansible names, or from standard input (`-`, `/dev/stdin`).
    ///
    /// # Errors
    /// When there is nothing to read or it is no JSON object.
    pub fn read(source: &str) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        let read = if source == "-" || source == "/dev/stdin" {
            std::io::stdin().lock().take(LARGEST).read_to_end(&mut bytes)
        } else {
            std::fs::File::open(source).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        };
        read.with_context(|| format!("read the module's arguments from {source:?}"))?;
        Self::parse(&bytes)
    }

    /// Decodes the request.
    ///
    /// # Errors
    /// When it is no JSON object. The text of the request is never part of the error: it may hold secrets.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let value: Json = serde_json::from_slice(bytes).map_err(|error| {
            anyhow::anyhow!(
                "the module's arguments are not JSON: line {}, column {}, {} bytes",
                error.line(),
                error.column(),
                bytes.len()
            )
        })?;
        let Json::Object(all) = value else {
            bail!("the module's arguments are not a JSON object")
        };
        let mut request = Self::default();
        for (key, value) in all {
            match key.as_str() {
                "_ansible_check_mode" => request.check = value == Json::Bool(true),
                "_ansible_diff" => request.diff = value == Json::Bool(true),
                "_ansible_module_name" => {
                    value.as_str().unwrap_or_default().clone_into(&mut request.module);
                }
                "_ansible_version" => request.version = value.as_str().and_then(version),
                "_ansible_inject_invocation" => request.inject_invocation = value.as_bool(),
                key if key.starts_with("_ansible_") => {}
                _ => _ = request.args.insert(key, value),
            }
        }
        Ok(request)
    }

    /// Whether the reply has to repeat the arguments.
    pub(crate) fn wants_invocation(&self) -> bool {
        self.inject_invocation.unwrap_or(self.version.is_some_and(|version| version < (2, 21)))
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansibles_own_keys_are_taken_out_and_unknown_ones_ignored() {
        let request = Request::parse(br#"{"name":"a","_ansible_check_mode":true,"_ansible_version":"2.21.5","_ansible_future":[1],"_ansible_module_name":"quorate.controlplane.x"}"#).unwrap();
        assert!(
            request.check
                && !request.diff
                && request.args.len() == 1
                && request.version == Some((2, 21))
                && !request.wants_invocation()
        );
        assert_eq!(request.module, "quorate.controlplane.x");
    }

    #[test]
    fn an_error_does_not_repeat_the_request() {
        let error = Request::parse(br#"{"password":"hunter2""#).unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        assert!(Request::parse(b"[]").is_err() && Request::parse(b"").is_err());
    }
}

//! Runs a built module as Ansible does, and holds its reply against the protocol.

#![expect(
    clippy::indexing_slicing,
    reason = "the index of a JSON value that is not there is null: it does not panic"
)]

use crate::or_panic;
use serde_json::{Map, Value, json};
use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A call of a built module.
#[derive(Clone, Debug)]
pub struct Call {
    program: String,
    request: Map<String, Value>,
}

/// What a module replied.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The one JSON object.
    pub json: Value,
    /// The exit status.
    pub status: i32,
}

impl Call {
    /// A call of `env!("CARGO_BIN_EXE_<module>")` with these arguments.
    pub fn new(program: &str, args: &Value) -> Self {
        Self { program: program.to_owned(), request: args.as_object().cloned().unwrap_or_default() }
    }

    /// In check mode, with a diff.
    #[must_use]
    pub fn check(mut self) -> Self {
        self.request.insert("_ansible_check_mode".into(), true.into());
        self.request.insert("_ansible_diff".into(), true.into());
        self
    }

    /// With one more member of the request, such as `_ansible_module_name`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.request.insert(key.into(), value.into());
        self
    }

    /// Runs it over standard input.
    ///
    /// # Panics
    /// When the reply breaks the protocol.
    pub fn run(&self) -> Reply {
        let mut command = Command::new(&self.program);
        let child = command
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = or_panic(child, &self.program);
        if let Some(mut stdin) = child.stdin.take() {
            or_panic(
                stdin.write_all(json!(self.request).to_string().as_bytes()),
                "write the request",
            );
        }
        Reply::from(&or_panic(child.wait_with_output(), "wait for the module"))
    }

    /// Runs it over a file, as the stock binary module does.
    ///
    /// # Panics
    /// When the reply breaks the protocol.
    pub fn run_from_file(&self, dir: &Path) -> Reply {
        let file = dir.join("args");
        or_panic(std::fs::write(&file, json!(self.request).to_string()), "write the request");
        Reply::from(&or_panic(Command::new(&self.program).arg(&file).output(), &self.program))
    }
}

impl Reply {
    /// Whether something was, or would be, changed.
    pub fn changed(&self) -> bool {
        self.json["changed"] == json!(true)
    }

    /// Whether it failed.
    pub fn failed(&self) -> bool {
        self.json["failed"] == json!(true)
    }

    /// The code of the refusal, or nothing.
    pub fn refusal(&self) -> &str {
        self.json["refusal"]["code"].as_str().unwrap_or_default()
    }

    /// The message, or nothing.
    pub fn msg(&self) -> &str {
        self.json["msg"].as_str().unwrap_or_default()
    }
}

impl From<&Output> for Reply {
    /// One JSON object on standard output, one line, nothing on standard error, and an exit status that agrees.
    fn from(output: &Output) -> Self {
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(err.is_empty(), "the module wrote on standard error: {err}\nreply: {out}");
        assert!(
            out.ends_with('\n') && out.trim_end().lines().count() == 1,
            "not exactly one line: {out:?}"
        );
        let json: Value = or_panic(serde_json::from_str(&out), &out);
        assert!(
            json["changed"].is_boolean() && json["failed"].is_boolean(),
            "changed and failed are always there: {json}"
        );
        let status = output.status.code().unwrap_or(-1);
        assert_eq!(
            status != 0,
            json["failed"] == serde_json::json!(true),
            "the exit status agrees with the reply: {status}, {json}"
        );
        Self { json, status }
    }
}

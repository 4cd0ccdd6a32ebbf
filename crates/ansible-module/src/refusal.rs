//! A reasoned no.

use std::{borrow::Cow, fmt};

/// Whether a refusal may go away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// By itself and soon, like an election: it is waited out for a few seconds.
    Passing,
    /// When an earlier task has done its part: in check mode of a whole playbook that task changed nothing.
    Unmet,
    /// Not without somebody's decision.
    Final,
}

/// Why nothing was done: what was observed, what was needed, and the way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The name of the reason, for programs: the snake-case variant of the module's `Unsafe` enum.
    pub code: Cow<'static, str>,
    /// The reason, for people.
    pub text: String,
    /// Whether it may go away.
    pub standing: Standing,
}

impl Refusal {
    /// Stands until somebody decides otherwise.
    pub fn finally(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), standing: Standing::Final }
    }

    /// May go away by itself, and is waited out at the start of a run.
    pub fn passing(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), standing: Standing::Passing }
    }

    /// Goes away when an earlier task of the same play has run.
    pub fn unmet(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), standing: Standing::Unmet }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Arguments that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadArgs {
    text: String,
    /// Ansible introduces unknown options with the module's name, and nothing else.
    unsupported: bool,
}

impl BadArgs {
    /// What is wrong, in words for the user.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), unsupported: false }
    }

    pub(crate) fn unsupported(text: String) -> Self {
        Self { text, unsupported: true }
    }

    pub(crate) fn reword(self, from: &str, to: &str) -> Self {
        Self { text: self.text.replacen(from, to, 1), ..self }
    }

    /// The text as Ansible words it for a module of this fully qualified name.
    pub fn text(&self, module: &str) -> String {
        if self.unsupported {
            format!("Unsupported parameters for ({module}) module: {}", self.text)
        } else {
            self.text.clone()
        }
    }
}

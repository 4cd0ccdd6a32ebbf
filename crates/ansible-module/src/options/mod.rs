//! The option table: one source for decoding, for the documentation and for the controller's `argument_spec`.
//!
//! Values are decoded leniently in both directions, because `{{ 5 }}` arrives as `"5"` up to ansible-core 2.18 and as `5` since.
//! The texts of errors are those of Ansible's own `ArgumentSpecValidator`, so that a user cannot tell the difference.

pub mod groups;
mod include;
mod rules;
pub mod spec;
mod table;
mod until;
mod value;

pub use include::{documented, joined, length};
pub use rules::rules;
pub use table::{field, normal};
pub use until::Until;
pub use value::{Bytes, Seconds, Value, choice};

/// What a value looks like, for documentation and for the controller.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// Ansible's name of the type: `str`, `int`, `bool`, `list`, `dict`, `path`, `float`, `raw`.
    pub name: &'static str,
    /// Whether it must be given where there is no default.
    pub required: bool,
    /// Type of the elements of a list.
    pub elements: Option<&'static str>,
    /// Choices and what each means.
    pub choices: &'static [(&'static str, &'static str)],
    /// Options of a dict.
    pub sub: &'static [Opt],
    /// Rules between the options of a dict.
    pub rules: &'static [(&'static str, &'static str)],
    /// Whether it is a secret.
    pub no_log: bool,
}

impl Type {
    /// A required value without anything special.
    pub const fn plain(name: &'static str) -> Self {
        Self {
            name,
            required: true,
            elements: None,
            choices: &[],
            sub: &[],
            rules: &[],
            no_log: false,
        }
    }
}

/// One option, or one returned value.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Its name.
    pub name: &'static str,
    /// Its documentation; paragraphs are separated by empty lines.
    pub doc: &'static str,
    /// Other names it is known by.
    pub aliases: &'static [&'static str],
    /// What is taken when it is not given, as a user would write it.
    pub default: Option<&'static str>,
    /// What it looks like.
    pub ty: Type,
}

/// Something with a documented shape.
pub trait Shape {
    /// The shape.
    const TYPE: Type;
}

/// The options of a module, or of one dict among them. Derived.
pub trait Options: Value {
    /// The documentation; the first line is the short description.
    const ABOUT: &'static str;
    /// The options, in the order they are documented.
    const TABLE: &'static [Opt];
    /// Rules between options: the rule's name and its text.
    const RULES: &'static [(&'static str, &'static str)];

    /// Reads the options out of arguments in canonical form, which may hold others too: those of a struct that includes this one.
    ///
    /// # Errors
    /// The first value that cannot be converted.
    fn read(given: &Given, at: &At) -> Result<Self, crate::BadArgs>;
}

/// Arguments in canonical form.
pub type Given = serde_json::Map<String, crate::Json>;

/// Where in the arguments a value stands.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Name of the option; empty for the arguments as a whole.
    pub name: &'a str,
    /// The dict it stands in.
    pub parent: Option<&'a At<'a>>,
}

impl At<'_> {
    /// The arguments as a whole.
    pub const ROOT: At<'static> = At { name: "", parent: None };

    /// ` found in a -> b`, or nothing at the top.
    pub fn found_in(&self) -> String {
        let mut names = vec![];
        let mut dict = self.parent;
        while let Some(at) = dict {
            if !at.name.is_empty() {
                names.push(at.name);
            }
            dict = at.parent;
        }
        names.reverse();
        if names.is_empty() { String::new() } else { format!(" found in {}", names.join(" -> ")) }
    }

    /// The error for a value that is none of the choices.
    pub fn not_a_choice(&self, got: &str, choices: &[&str]) -> crate::BadArgs {
        crate::BadArgs::new(format!(
            "value of {} must be one of: {}, got: {got}{}",
            self.name,
            choices.join(", "),
            self.found_in()
        ))
    }

    /// The error for a value that cannot be converted.
    pub fn not_a(&self, wanted: &str, value: &crate::Json, why: &str) -> crate::BadArgs {
        let (is, name) = (value::type_name(value), self.name);
        crate::BadArgs::new(format!(
            "argument '{name}' is of type {is}{} and we were unable to convert to {wanted}: {why}",
            self.found_in()
        ))
    }
}

#[cfg(test)]
mod tests;

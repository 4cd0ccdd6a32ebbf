//! Decoding of single values, lenient in both directions.

use super::{
    At, Shape, Type,
    table::{NO_DICT, dict_from},
};
use crate::{BadArgs, Json};
use serde_json::Map;
use std::{path::PathBuf, time::Duration};

/// A value that can be read out of the arguments.
pub trait Value: Shape + Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When the value cannot be converted; the text is Ansible's own.
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs>;

    /// What it is when it was not given.
    ///
    /// # Errors
    /// When it has to be given.
    fn absent(at: &At) -> Result<Self, BadArgs> {
        Err(BadArgs::new(format!("missing required arguments: {}{}", at.name, at.found_in())))
    }
}

/// Python's name of a JSON value's type, as Ansible's messages have it.
pub(super) fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

/// A scalar as the text a user would have typed.
fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        other => python(other),
    }
}

/// A value as Python's `repr` writes it, which is what Ansible's messages repeat.
fn python(value: &Json) -> String {
    let list = |all: Vec<String>| all.join(", ");
    match value {
        Json::Null => "None".into(),
        Json::Bool(_) => text(value),
        Json::Number(number) => number.to_string(),
        Json::String(text) => format!("'{text}'"),
        Json::Array(all) => format!("[{}]", list(all.iter().map(python).collect())),
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| format!("'{key}': {}", python(value));
            format!("{{{}}}", list(map.iter().map(pair).collect()))
        }
    }
}

/// Why a value of this kind is none of another.
pub(super) fn of_class(value: &Json, wanted: &str) -> String {
    format!("<class '{}'> cannot be converted to a {wanted}", type_name(value))
}

/// Reads one of a set of names; YAML's `yes` and `on` have become booleans on the way, and are taken back.
///
/// # Errors
/// When it is none of them.
pub fn choice<'c>(at: &At, value: &Json, choices: &[&'c str]) -> Result<&'c str, BadArgs> {
    let wanted = text(value);
    let meant = |name: &&&'c str| match value {
        Json::Bool(true) => ["yes", "on", "true"].contains(*name),
        Json::Bool(false) => ["no", "off", "false"].contains(*name),
        _ => **name == wanted,
    };
    choices.iter().find(meant).copied().ok_or_else(|| at.not_a_choice(&wanted, choices))
}

impl Shape for String {
    const TYPE: Type = Type::plain("str");
}
impl Value for String {
    fn decode(_: &At, value: &Json) -> Result<Self, BadArgs> {
        Ok(text(value))
    }
}

impl Shape for PathBuf {
    const TYPE: Type = Type::plain("path");
}
impl Value for PathBuf {
    /// `~` is the home of the user the module runs as.
    fn decode(_: &At, value: &Json) -> Result<Self, BadArgs> {
        let path = text(value);
        let home =
            || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        Ok(match path.strip_prefix("~/") {
            Some(rest) => home().join(rest),
            None if path == "~" => home(),
            None => path.into(),
        })
    }
}

impl Shape for bool {
    const TYPE: Type = Type::plain("bool");
}
impl Value for bool {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        match text(value).to_lowercase().as_str() {
            "1.0" if value.is_number() => Ok(true),
            "0.0" if value.is_number() => Ok(false),
            _ if value.is_array() || value.is_object() => {
                Err(at.not_a("bool", value, &of_class(value, "bool")))
            }
            "yes" | "on" | "1" | "true" | "y" | "t" => Ok(true),
            "no" | "off" | "0" | "false" | "n" | "f" => Ok(false),
            _ => {
                let why = format!(
                    "The value '{}' is not a valid boolean. Valid booleans include: 0, 1, 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'",
                    text(value)
                );
                Err(at.not_a("bool", value, &why))
            }
        }
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Shape for $int {
            const TYPE: Type = Type::plain("int");
        }
        impl Value for $int {
            fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
                let written = text(value);
                let whole = written.trim().strip_suffix(".0").unwrap_or(written.trim());
                whole.parse().map_err(|_| at.not_a("int", value, &format!("\"{}\" cannot be converted to an int", python(value))))
            }
        }
    )*};
}
integers!(u16, u32, u64, i64, usize);

impl Shape for f64 {
    const TYPE: Type = Type::plain("float");
}
impl Value for f64 {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        let written = text(value);
        written.trim().parse().map_err(|_| at.not_a("float", value, &of_class(value, "float")))
    }
}

/// A span of time: a number of seconds, or `90s`, `5m`, `1h30m`, `2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl Shape for Seconds {
    const TYPE: Type = Type::plain("str");
}
impl Value for Seconds {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        let written = text(value);
        let span = span(written.trim()).map(Self);
        span.ok_or_else(|| {
            at.not_a(
                "duration",
                value,
                &format!("expected seconds, or a form such as 90s, 5m or 1h30m, got '{written}'"),
            )
        })
    }
}

fn span(written: &str) -> Option<Duration> {
    if let Ok(seconds) = written.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (mut total, mut number) = (Duration::ZERO, String::new());
    for letter in written.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return None,
        };
        total += Duration::from_secs(number.parse::<u32>().ok()?.into()).checked_mul(unit)?;
        number.clear();
    }
    (number.is_empty() && !written.is_empty()).then_some(total)
}

/// A size: a number of bytes, or `512M`, `32G`, `1T` in powers of 1024, as Proxmox VE and Ansible write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Shape for Bytes {
    const TYPE: Type = Type::plain("str");
}
impl Value for Bytes {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        let written = text(value);
        let plain = written.trim().trim_end_matches(['B', 'b', 'i']);
        let unit = plain.chars().last().and_then(|unit| "KMGT".find(unit.to_ascii_uppercase()));
        let (number, power) =
            unit.map_or((plain, 0), |unit| (plain.get(..plain.len() - 1).unwrap_or(""), unit + 1));
        let size = number.parse::<u64>().ok().and_then(|number| {
            number.checked_mul(1024_u64.checked_pow(u32::try_from(power).ok()?)?)
        });
        size.map(Self).ok_or_else(|| {
            at.not_a(
                "size",
                value,
                &format!("expected bytes, or a form such as 512M or 32G, got '{written}'"),
            )
        })
    }
}

impl<T: Shape> Shape for Option<T> {
    const TYPE: Type = Type { required: false, ..T::TYPE };
}
impl<T: Value> Value for Option<T> {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        T::decode(at, value).map(Some)
    }
    fn absent(_: &At) -> Result<Self, BadArgs> {
        Ok(None)
    }
}

impl<T: Shape> Shape for Vec<T> {
    const TYPE: Type =
        Type { name: "list", elements: Some(T::TYPE.name), required: false, ..T::TYPE };
}
impl<T: Value> Value for Vec<T> {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        let one = |value: &Json| {
            T::decode(at, value)
                .map_err(|error| error.reword("argument '", "Elements value for option '"))
        };
        match value {
            Json::Array(all) => all.iter().map(one).collect(),
            Json::String(text) if text.is_empty() => Ok(vec![]),
            Json::String(text) if !text.trim_start().starts_with('{') => {
                text.split(',').map(|part| one(&part.trim().into())).collect()
            }
            other => Ok(vec![one(other)?]),
        }
    }
    fn absent(_: &At) -> Result<Self, BadArgs> {
        Ok(vec![])
    }
}

impl Shape for Map<String, Json> {
    const TYPE: Type = Type { required: false, ..Type::plain("dict") };
}
impl Value for Map<String, Json> {
    fn decode(at: &At, value: &Json) -> Result<Self, BadArgs> {
        match value {
            Json::Object(map) => Ok(map.clone()),
            Json::String(text) => dict_from(text).ok_or_else(|| at.not_a("dict", value, NO_DICT)),
            _ => Err(at.not_a("dict", value, &of_class(value, "dict"))),
        }
    }
    fn absent(_: &At) -> Result<Self, BadArgs> {
        Ok(Self::new())
    }
}

impl Shape for Json {
    const TYPE: Type = Type { required: false, ..Type::plain("raw") };
}

impl<T: Shape> Shape for std::collections::BTreeMap<String, T> {
    const TYPE: Type = Type { name: "dict", required: false, ..T::TYPE };
}

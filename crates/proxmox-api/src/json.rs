//! Reading of JSON that writes numbers now as numbers, now as strings.

use serde_json::Value;

/// The elements of an array; nothing of anything else.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The member as text, where it is a scalar.
pub fn text(value: &Value, key: &str) -> Option<String> {
    scalar(value.get(key)?)
}

/// A scalar as text.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        _ => None,
    }
}

/// The member as a number.
pub fn number<T: std::str::FromStr>(value: &Value, key: &str) -> Option<T> {
    text(value, key)?.parse().ok()
}

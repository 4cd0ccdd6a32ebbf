//! How many keys there are below a prefix, and below what: counted by ranges, without loading them.

use crate::{client::Connection, fault::Fault};
use serde::{Deserialize, Serialize};

/// More children than this are counted as one rest: every child costs two calls.
const CHILDREN: usize = 200;

/// The keys below one prefix.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeyCount {
    /// The prefix, as given.
    pub prefix: String,
    /// All keys that begin with it.
    pub count: u64,
    /// The same by the next part of the key, the largest first; Kubernetes separates parts with a slash.
    #[serde(default)]
    pub children: Vec<Child>,
    /// Keys below children that were not looked at, because there are too many.
    #[serde(default)]
    pub rest: u64,
}

/// Keys that share one more part.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Child {
    /// The prefix with one more part; with a slash at its end where keys lie below it.
    pub prefix: String,
    /// How many keys begin with it.
    pub count: u64,
}

/// Counts through one member, which answers from what it has applied: no quorum is needed.
///
/// # Errors
/// When a call fails.
pub async fn count(connection: &Connection, prefix: &str) -> Result<KeyCount, Fault> {
    let (from, end) = (first(prefix.as_bytes()), after(prefix.as_bytes()));
    let mut found = KeyCount {
        prefix: prefix.to_owned(),
        count: connection.count(&from, &end).await?,
        ..KeyCount::default()
    };
    let (mut at, mut seen) = (from, 0);
    while found.children.len() < CHILDREN {
        let Some(key) = connection.first_key(&at, &end).await? else { break };
        let child = child_of(prefix.as_bytes(), &key);
        let next = if child.last() == Some(&b'/') {
            after(&child)
        } else {
            // the key itself and nothing below it: the next key is the one that follows it at once
            [child.as_slice(), &[0]].concat()
        };
        let count = connection.count(&child, &next).await?;
        seen += count;
        found.children.push(Child { prefix: String::from_utf8_lossy(&child).into_owned(), count });
        at = next;
    }
    // keys may come and go meanwhile
    found.rest = if found.children.len() < CHILDREN { 0 } else { found.count.saturating_sub(seen) };
    found.children.sort_by(|a, b| (b.count, &a.prefix).cmp(&(a.count, &b.prefix)));
    Ok(found)
}

/// The part of a key up to the slash after the prefix, with it; the whole key where there is none.
fn child_of(prefix: &[u8], key: &[u8]) -> Vec<u8> {
    let rest = key.get(prefix.len()..).unwrap_or_default();
    // a prefix without a slash at its end shares its own part with others
    let skip = usize::from(rest.first() == Some(&b'/'));
    let slash = rest.iter().skip(skip).position(|byte| *byte == b'/');
    let length = slash.map_or(key.len(), |at| prefix.len() + skip + at + 1);
    key.get(..length).unwrap_or(key).to_vec()
}

/// The first key that can begin with a prefix: etcd takes no empty key.
fn first(prefix: &[u8]) -> Vec<u8> {
    if prefix.is_empty() { vec![0] } else { prefix.to_vec() }
}

/// The first key that does not begin with a prefix. Etcd takes a single zero for the end of all keys.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_a_prefix_and_nothing_else() {
        assert_eq!(after(b"/registry/"), b"/registry0");
        assert_eq!(after(b"a\xff\xff"), b"b");
        assert_eq!(after(b""), [0]);
        assert_eq!(after(b"\xff"), [0]);
    }

    #[test]
    fn a_child_is_one_part_more() {
        let child = |prefix: &str, key: &str| {
            String::from_utf8(child_of(prefix.as_bytes(), key.as_bytes())).unwrap()
        };
        assert_eq!(child("/registry/", "/registry/pods/default/a"), "/registry/pods/");
        assert_eq!(child("/registry", "/registry/pods/default/a"), "/registry/pods/");
        assert_eq!(child("/registry/", "/registry/ranges"), "/registry/ranges");
        assert_eq!(child("", "compact_rev_key"), "compact_rev_key");
        assert_eq!(child("", "/registry/pods/a"), "/registry/");
    }
}

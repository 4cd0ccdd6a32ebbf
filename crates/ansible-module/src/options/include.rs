//! One constant table out of several, for structs that include others. All of it happens while a module is compiled.
#![expect(
    clippy::indexing_slicing,
    reason = "an index out of bounds would be an error of the compiler, not of a run"
)]

use super::{Opt, Type};

impl Opt {
    /// Fills a table before it is joined.
    pub const NONE: Self =
        Self { name: "", doc: "", aliases: &[], default: None, ty: Type::plain("str") };
}

/// How long the slices are together.
pub const fn length<T>(parts: &[&[T]]) -> usize {
    let (mut length, mut part) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

/// The slices one after the other; `nothing` is only there to begin with.
pub const fn joined<T: Copy, const N: usize>(nothing: T, parts: &[&[T]]) -> [T; N] {
    let (mut all, mut at, mut part) = ([nothing; N], 0, 0);
    while part < parts.len() {
        let mut item = 0;
        while item < parts[part].len() {
            all[at] = parts[part][item];
            at += 1;
            item += 1;
        }
        part += 1;
    }
    all
}

/// The table with other words about one of its options.
///
/// # Panics
/// Where there is no such option: an error of the compiler.
pub const fn documented<const N: usize>(table: &[Opt], name: &str, doc: &'static str) -> [Opt; N] {
    let (mut all, mut at, mut found) = (joined(Opt::NONE, &[table]), 0, false);
    while at < N {
        if is_same(all[at].name, name) {
            all[at].doc = doc;
            found = true;
        }
        at += 1;
    }
    assert!(found, "documents names an option that the included struct does not have");
    all
}

/// `==`, which no constant can be made with.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

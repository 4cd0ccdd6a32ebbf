//! etcd versions, as far as a rule depends on them.

use serde::{Deserialize, Serialize};

/// Major, minor and patch; what follows the patch is dropped.
pub fn parse(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.trim_start_matches('v').split(['.', '-', '+']).map(str::parse::<u32>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some((major, minor, patch)),
        _ => None,
    }
}

/// The rule by which a server with strict reconfiguration checks accepts one more member.
///
/// `mayAddMember` in `server/etcdserver/server.go`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddRule {
    /// Every voter has been connected for 5 s. Also taken when a version is unknown: it is the stricter one.
    #[default]
    AllConnected,
    /// As many voters as a quorum of one voter more are connected (3.5.30, 3.6.11).
    QuorumConnected,
}

impl AddRule {
    /// Tells the rule that whichever member serves the call will apply.
    pub fn of<'a>(versions: impl IntoIterator<Item = &'a str>) -> Self {
        let lax = |v: (u32, u32, u32)| v >= (3, 6, 11) || ((3, 5, 30)..(3, 6, 0)).contains(&v);
        let mut all = versions.into_iter().map(|text| parse(text).is_some_and(lax)).peekable();
        let some = all.peek().is_some();
        if some && all.all(|lax| lax) { Self::QuorumConnected } else { Self::AllConnected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_the_strictest_of_all_members() {
        assert_eq!(AddRule::of(["3.6.16", "3.6.11", "3.5.30"]), AddRule::QuorumConnected);
        for old in ["3.5.29", "3.6.10", "3.4.30", "3.6.0-rc.1", "", "x.y.z"] {
            assert_eq!(AddRule::of(["3.6.16", old]), AddRule::AllConnected, "{old}");
        }
        assert_eq!(AddRule::of([]), AddRule::AllConnected);
        assert_eq!(parse("v3.7.0-alpha"), Some((3, 7, 0)));
    }
}

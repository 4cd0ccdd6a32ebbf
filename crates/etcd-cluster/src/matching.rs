//! Which listed member a user means by an id, a name or an address; what is given must agree.

use crate::member::{BadId, Member, MemberId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a user said about one member. At least one of the three is given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Target {
    /// Hexadecimal or decimal.
    #[serde(default)]
    pub id: Option<String>,
    /// The name as listed.
    #[serde(default)]
    pub name: Option<String>,
    /// An address, address and port, or peer URL.
    #[serde(default)]
    pub peer: Option<String>,
}

/// Why a [`Target`] names no single member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// The id cannot be read.
    BadId(String),
    /// Nothing was given.
    Nothing,
    /// Several members fit, or one description fits different members.
    Several(Vec<String>),
    /// One member fits in one respect and not in another.
    Disagree {
        /// The member that fits in part.
        member: String,
        /// What was given and does not fit: `name "cp2"`.
        given: String,
        /// What the list has instead.
        found: String,
    },
}

impl Mismatch {
    /// Names the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadId(_) | Self::Nothing => "bad_target",
            Self::Several(_) => "two_match",
            Self::Disagree { .. } => "target_disagrees",
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadId(text) => fmt::Display::fmt(&BadId(text.clone()), f),
            Self::Nothing => f.write_str(
                "one of id, name and peer address is needed to tell which member is meant",
            ),
            Self::Several(labels) => write!(
                f,
                "{} members fit the description ({}), exactly one must; give the id of the one you mean, in hexadecimal with 0x",
                labels.len(),
                labels.join(", ")
            ),
            Self::Disagree { member, given, found } => write!(
                f,
                "the description contradicts itself: member {member} fits, but {given} was given and the list has {found}; read the member list again and give what belongs together"
            ),
        }
    }
}

impl std::error::Error for Mismatch {}

impl Target {
    /// Finds the one listed member that a single word fits: its name, its id or its peer address.
    ///
    /// # Errors
    /// When it fits several.
    pub fn find_word<'a>(word: &str, list: &'a [Member]) -> Result<Option<&'a Member>, Mismatch> {
        let ids = MemberId::meanings(word).unwrap_or_default();
        let fits = |m: &&Member| is_called(m, word) || ids.contains(&m.id) || has_peer(m, word);
        let found: Vec<&Member> = list.iter().filter(fits).collect();
        match *found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(Mismatch::Several(found.iter().map(|m| m.label()).collect())),
        }
    }

    /// Finds the one listed member that is meant, or none.
    ///
    /// A member that has not started has no name yet, so a given name does not contradict it.
    ///
    /// # Errors
    /// When several fit or what is given does not belong together: nothing may be done to a guess.
    pub fn find<'a>(&self, list: &'a [Member]) -> Result<Option<&'a Member>, Mismatch> {
        if self.id.is_none() && self.name.is_none() && self.peer.is_none() {
            return Err(Mismatch::Nothing);
        }
        let ids = self
            .id
            .as_deref()
            .map(MemberId::meanings)
            .transpose()
            .map_err(|bad| Mismatch::BadId(bad.0))?;
        let by_id = |m: &Member| ids.as_ref().map(|ids| ids.contains(&m.id));
        let by_name = |m: &Member| self.name.as_deref().map(|name| is_called(m, name));
        let by_peer = |m: &Member| self.peer.as_deref().map(|peer| has_peer(m, peer));
        let fits = |m: &&Member| [by_id(m), by_name(m), by_peer(m)].contains(&Some(true));
        let found: Vec<&Member> = list.iter().filter(fits).collect();
        let labels = || found.iter().map(|m| m.label()).collect();
        match *found.as_slice() {
            [] => Ok(None),
            [one] => self.agrees(one, by_id(one), by_name(one), by_peer(one)).map(|()| Some(one)),
            _ => Err(Mismatch::Several(labels())),
        }
    }

    fn agrees(
        &self,
        m: &Member,
        id: Option<bool>,
        name: Option<bool>,
        peer: Option<bool>,
    ) -> Result<(), Mismatch> {
        let no = |what: &str, given: &Option<String>, found: String| {
            let given = format!("{what} {:?}", given.as_deref().unwrap_or_default());
            Err(Mismatch::Disagree { member: m.label(), given, found })
        };
        if id == Some(false) {
            return no("id", &self.id, m.id.to_string());
        }
        if name == Some(false) && !m.is_nameless() {
            return no("name", &self.name, format!("{:?}", m.name));
        }
        if peer == Some(false) {
            return no("peer address", &self.peer, m.peer_urls.join(", "));
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map(|name| format!("{name:?}"));
        let id = self.id.as_ref().map(|id| format!("with id {id}"));
        let peer = self.peer.as_ref().map(|peer| format!("at {peer}"));
        f.write_str(&[name, id, peer].into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

/// Tells whether a member has a name, or is the one that k3s or RKE2 runs on a Node of that name: they add a dash and eight hexadecimal
/// digits of their own making.
pub fn is_called(member: &Member, name: &str) -> bool {
    let made = |digits: &str| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    member.name == name
        || member.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).is_some_and(made)
}

fn has_peer(member: &Member, wanted: &str) -> bool {
    let (host, port) = host_and_port(wanted);
    member
        .peer_urls
        .iter()
        .map(|url| host_and_port(url))
        .any(|(h, p)| h == host && (port.is_none() || p == port))
}

/// Splits `https://[::1]:2380/`, `10.0.0.1:2380`, `cp1` and the like.
pub fn host_and_port(url: &str) -> (String, Option<u16>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    if let Some((host, port)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host.to_lowercase(), port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    // more than one colon and no brackets: a bare IPv6 address, which has no port
    match rest.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host.to_lowercase(), port.parse().ok()),
        _ => (rest.to_lowercase(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::Role;

    fn list() -> Vec<Member> {
        let member = |id, name: &str, at: &str| Member {
            id: MemberId(id),
            name: name.to_owned(),
            role: Role::Voter,
            peer_urls: vec![format!("https://{at}:2380")],
            client_urls: vec![],
        };
        vec![
            member(0x10, "cp1", "10.0.0.1"),
            member(10, "cp2", "10.0.0.2"),
            member(3, "", "10.0.0.3"),
        ]
    }

    fn find(id: &str, name: &str, peer: &str) -> Result<Option<u64>, &'static str> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let target = Target { id: some(id), name: some(name), peer: some(peer) };
        target.find(&list()).map(|m| m.map(|m| m.id.0)).map_err(|no| no.code())
    }

    #[test]
    fn one_description_finds_one_member_or_none() {
        assert_eq!(find("a", "", ""), Ok(Some(10)));
        assert_eq!(find("", "cp1", ""), Ok(Some(0x10)));
        assert_eq!(find("", "", "https://10.0.0.2:2380"), Ok(Some(10)));
        assert_eq!(find("", "", "10.0.0.2:2380"), Ok(Some(10)));
        assert_eq!(find("", "", "10.0.0.2:1"), Ok(None));
        assert_eq!(find("", "cp3", ""), Ok(None));
        assert_eq!(find("ffff", "", ""), Ok(None));
    }

    #[test]
    fn what_is_given_must_agree() {
        assert_eq!(find("a", "cp2", "10.0.0.2"), Ok(Some(10)));
        assert_eq!(find("a", "cp9", ""), Err("target_disagrees"));
        assert_eq!(find("ffff", "cp2", ""), Err("target_disagrees"));
        assert_eq!(find("", "cp2", "10.0.0.9"), Err("target_disagrees"));
        assert_eq!(find("", "cp2", "10.0.0.1"), Err("two_match"));
        assert_eq!(
            find("", "cp3", "10.0.0.3"),
            Ok(Some(3)),
            "a nameless member contradicts no name"
        );
    }

    #[test]
    fn digits_that_fit_two_members_are_refused() {
        assert_eq!(
            find("10", "", ""),
            Err("two_match"),
            "decimal 10 is cp2 and hexadecimal 10 is cp1"
        );
        assert_eq!(find("0x10", "", ""), Ok(Some(0x10)));
        assert_eq!(
            find("16", "", ""),
            Ok(Some(0x10)),
            "decimal 16 fits and hexadecimal 16 does not"
        );
    }

    #[test]
    fn the_name_of_a_node_of_k3s_finds_its_member() {
        let member = |name: &str| Member { name: name.to_owned(), ..Member::default() };
        assert!(
            is_called(&member("s2-f4f55cbd"), "s2")
                && is_called(&member("s2-f4f55cbd"), "s2-f4f55cbd")
        );
        for other in ["s2-f4f55cb", "s2-f4f55cbx", "s21-f4f55cbd", "s2f4f55cbd", ""] {
            assert!(!is_called(&member(other), "s2"), "{other}");
        }
        let both = [member("s2-f4f55cbd"), member("s2-8d2a6806")];
        assert_eq!(Target::find_word("s2", &both).unwrap_err().code(), "two_match");
    }

    #[test]
    fn addresses_are_split_in_all_their_forms() {
        let split = |url| host_and_port(url);
        assert_eq!(split("https://[fd00::1]:2380"), ("fd00::1".into(), Some(2380)));
        assert_eq!(split("fd00::1"), ("fd00::1".into(), None));
        assert_eq!(split("CP1"), ("cp1".into(), None));
        assert_eq!(split("http://10.0.0.1:2380/"), ("10.0.0.1".into(), Some(2380)));
    }
}

//! Members of a cluster and the forms of their ids.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// The id of a member or of a cluster: 64 bits, which is more than a JSON number can hold in most readers.
///
/// Shown as etcdctl shows it (lower-case hexadecimal without `0x`), and stored so in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberId(pub u64);

impl MemberId {
    /// Tells the decimal form, as etcd's own JSON has it.
    pub fn decimal(self) -> String {
        self.0.to_string()
    }

    /// Tells every id that a user may have meant: digits alone can be decimal or hexadecimal.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn meanings(text: &str) -> Result<Vec<Self>, BadId> {
        let bad = || BadId(text.to_owned());
        let trimmed = text.trim();
        if let Some(hex) = trimmed.strip_prefix("0x").or_else(|| trimmed.strip_prefix("0X")) {
            return from_hex(hex).map(|id| vec![id]).ok_or_else(bad);
        }
        let decimal = Some(trimmed).filter(|t| is_digits(t)).and_then(|t| t.parse().ok().map(Self));
        let mut all: Vec<Self> = [decimal, from_hex(trimmed)].into_iter().flatten().collect();
        all.dedup();
        if all.is_empty() { Err(bad()) } else { Ok(all) }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `from_str_radix` alone would take a leading plus sign.
fn from_hex(text: &str) -> Option<MemberId> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok().map(MemberId)).flatten()
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MemberId {
    type Err = BadId;

    /// Reads the form that [`fmt::Display`] writes, never a decimal number.
    fn from_str(text: &str) -> Result<Self, BadId> {
        from_hex(text).ok_or_else(|| BadId(text.to_owned()))
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A text that is no id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadId(pub String);

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "member id {:?} is neither hexadecimal (as etcdctl shows it) nor a decimal number of 64 bits; quote it in YAML",
            self.0
        )
    }
}

impl std::error::Error for BadId {}

/// Whether a member counts towards the quorum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Has a vote, also while it has no name yet.
    #[default]
    Voter,
    /// Receives the log and has no vote.
    Learner,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
        })
    }
}

/// One entry of the member list.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The id etcd gave it when it was added.
    pub id: MemberId,
    /// Empty until the member has started for the first time.
    #[serde(default)]
    pub name: String,
    /// Voter or learner.
    #[serde(default)]
    pub role: Role,
    /// Where the other members reach it.
    #[serde(default)]
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started for the first time.
    #[serde(default)]
    pub client_urls: Vec<String>,
}

impl Member {
    /// Tells whether it counts towards the quorum: learners alone do not, nameless voters do.
    pub fn is_voter(&self) -> bool {
        self.role == Role::Voter
    }

    /// Tells whether it has never published itself, that is: never started.
    pub fn is_nameless(&self) -> bool {
        self.name.is_empty()
    }

    /// Tells whether a join is still in flight.
    pub fn is_joining(&self) -> bool {
        self.is_nameless() || !self.is_voter()
    }

    /// Names it for a message: by name, else by the address it will have.
    pub fn label(&self) -> String {
        if !self.is_nameless() {
            return format!("{:?} ({})", self.name, self.id);
        }
        let address = self.peer_urls.first().map_or("no address", String::as_str);
        format!("nameless {} ({})", address, self.id)
    }
}

/// A member that a step is about. Equal means the same member, also when it has got its name meanwhile.
#[derive(Clone, Debug)]
pub struct Which {
    /// Its id.
    pub id: MemberId,
    /// Its name and id, or what the user called it.
    pub label: String,
}

impl PartialEq for Which {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Which {}

impl From<&Member> for Which {
    fn from(member: &Member) -> Self {
        Self { id: member.id, label: member.label() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_every_form_users_have_it_in() {
        let id = |n| Ok(vec![MemberId(n)]);
        assert_eq!(MemberId::meanings("8e9e05c52164694d"), id(0x8e9e_05c5_2164_694d));
        assert_eq!(MemberId::meanings("0x8E9E05C52164694D"), id(0x8e9e_05c5_2164_694d));
        assert_eq!(MemberId::meanings("0x12"), id(0x12));
        assert_eq!(MemberId::meanings(" 7 "), id(7));
        assert_eq!(MemberId::meanings("10276657743932975437"), id(10_276_657_743_932_975_437));
        assert_eq!(
            MemberId::meanings("1234567890123456"),
            Ok(vec![MemberId(1_234_567_890_123_456), MemberId(0x1234_5678_9012_3456)])
        );
    }

    #[test]
    fn a_member_that_gets_its_name_stays_the_same() {
        let nameless = Member { id: MemberId(7), ..Member::default() };
        let named = Member { name: "cp4".to_owned(), ..nameless.clone() };
        assert_eq!(Which::from(&nameless), Which::from(&named));
        assert_ne!(Which::from(&Member::default()), Which::from(&named));
    }

    #[test]
    fn what_is_no_id_is_said_to_be_none() {
        for text in ["", "1e19", "1.5", "+5", "-1", "0x", "xyz", "11112222333344445"] {
            let read = MemberId::meanings(text);
            // 1e19 is a float to YAML and hexadecimal to us: it must not pass for the float
            if text == "1e19" {
                assert_eq!(read, Ok(vec![MemberId(0x1e19)]));
            } else if text == "11112222333344445" {
                assert_eq!(read, Ok(vec![MemberId(11_112_222_333_344_445)]));
            } else {
                assert_eq!(read, Err(BadId(text.to_owned())), "{text}");
            }
        }
        assert!(MemberId::meanings("zz").unwrap_err().to_string().contains("quote it in YAML"));
    }

    #[test]
    fn json_holds_ids_as_text() {
        let id = MemberId(u64::MAX);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"ffffffffffffffff\"");
        assert_eq!(serde_json::from_str::<MemberId>("\"ffffffffffffffff\"").unwrap(), id);
        assert!(serde_json::from_str::<MemberId>("12").is_err());
    }
}

//! What a failed call means, and what may be done after it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What may be done after a failed call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same call will fail again.
    Never,
    /// The server did nothing: the same call may be repeated at once.
    Repeat,
    /// The server did nothing yet and asks for time.
    Later,
    /// The outcome is unknown, or another than hoped: read the member list first, then decide.
    Reread,
    /// What was wanted holds already.
    Done,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:ident $text:literal -> $retry:ident;)*) => {
        /// The errors of etcd's API that a caller tells apart (`api/v3rpc/rpctypes/error.go`).
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
            /// The call took longer than its deadline.
            Deadline,
            /// No connection: refused, no route, TLS.
            Unreachable,
            /// Anything else.
            Other,
        }

        const KNOWN: &[(Kind, Code, &str)] = &[$((Kind::$kind, Code::$code, $text),)*];

        impl Kind {
            /// Those that etcd has words of its own for.
            pub const NAMED: &'static [Self] = &[$(Self::$kind,)*];

            /// Tells what may be done after it.
            pub fn retry(self) -> Retry {
                match self {
                    $(Self::$kind => Retry::$retry,)*
                    // a call that changes the world may have arrived
                    Self::Deadline | Self::Unreachable => Retry::Reread,
                    Self::Other => Retry::Never,
                }
            }
        }
    };
}

/// The gRPC codes that etcd answers with, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Code {
    InvalidArgument = 3,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unavailable = 14,
    DataLoss = 15,
}

kinds! {
    /// An id is never given twice.
    MemberIdExists = FailedPrecondition "member ID already exist" -> Reread;
    /// Success for a resumed join when the entry is its own nameless learner.
    PeerUrlExists = FailedPrecondition "Peer URLs already exists" -> Reread;
    /// The server's own strict check of names.
    NotEnoughStarted = FailedPrecondition "re-configuration failed due to not enough started members" -> Reread;
    /// Promoted already, perhaps by itself.
    NotLearner = FailedPrecondition "can only promote a learner member" -> Reread;
    /// Its log is still short of the leader's.
    LearnerNotReady = FailedPrecondition "can only promote a learner member which is in sync with leader" -> Later;
    /// One join at a time.
    TooManyLearners = FailedPrecondition "too many learner members in cluster" -> Reread;
    /// A learner serves Status and serializable reads only.
    NotForLearner = FailedPrecondition "rpc not supported for learner" -> Never;
    /// The member chosen to lead is no voter.
    BadTransferee = FailedPrecondition "bad leader transferee" -> Reread;
    /// Another member leads.
    NotLeader = FailedPrecondition "not leader" -> Reread;
    /// The endpoint belongs to another cluster.
    OtherCluster = FailedPrecondition "cluster ID mismatch" -> Never;
    /// A mixed cluster whose version is not raised yet.
    NotCapable = FailedPrecondition "not capable" -> Later;
    /// On removal: it is gone.
    MemberNotFound = NotFound "member not found" -> Done;
    /// An election is on, or the quorum is lost.
    NoLeader = Unavailable "no leader" -> Reread;
    /// Leadership moved under the call.
    LeaderChanged = Unavailable "leader changed" -> Reread;
    /// The server is going down.
    Stopped = Unavailable "server stopped" -> Reread;
    /// The proposal may still be applied.
    TimedOut = Unavailable "request timed out" -> Reread;
    /// The server's own strict check of connections.
    Unhealthy = Unavailable "unhealthy cluster" -> Reread;
    /// An alarm that stops every write.
    NoSpace = ResourceExhausted "mvcc: database space exceeded" -> Never;
    /// The server sheds load.
    TooManyRequests = ResourceExhausted "too many requests" -> Later;
    /// An alarm that stops every write.
    Corrupt = DataLoss "corrupt cluster" -> Never;
    /// Choose a newer revision.
    Compacted = OutOfRange "mvcc: required revision has been compacted" -> Repeat;
    /// This member is behind.
    FutureRevision = OutOfRange "mvcc: required revision is a future revision" -> Later;
    /// No URLs of a peer.
    BadUrls = InvalidArgument "given member URLs are invalid" -> Never;
    /// The certificate has no such right.
    Denied = PermissionDenied "permission denied" -> Never;
}

/// A failed call: its kind, and the words for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// For decisions.
    pub kind: Kind,
    /// For messages; holds no secret, for etcd's errors never do.
    pub text: String,
}

impl Fault {
    /// Tells what may be done after it.
    pub fn retry(&self) -> Retry {
        self.kind.retry()
    }

    /// Names a call that took too long.
    pub fn deadline(call: &str, seconds: f32) -> Self {
        Self { kind: Kind::Deadline, text: format!("{call}: no answer within {seconds} s") }
    }

    /// Classifies by code and message together: some messages differ by a suffix only.
    pub(crate) fn from_status(code: i32, message: &str, chain: &str) -> Self {
        let bare = message.strip_prefix("etcdserver: ").unwrap_or(message);
        let exact = |(_, c, text): &&(Kind, Code, &str)| *c as i32 == code && *text == bare;
        // "request timed out, possibly due to previous leader failure" and its kin
        let begins = |(kind, c, text): &&(Kind, Code, &str)| {
            *c as i32 == code && matches!(kind, Kind::TimedOut) && bare.starts_with(text)
        };
        // 3.5 answers "not capable" with another code, and every version maps the missing starts to an error without one
        let loose = |(kind, _, text): &&(Kind, Code, &str)| {
            matches!(kind, Kind::NotCapable | Kind::NotEnoughStarted) && *text == bare
        };
        let known = KNOWN
            .iter()
            .find(exact)
            .or_else(|| KNOWN.iter().find(begins))
            .or_else(|| KNOWN.iter().find(loose));
        let kind = match (known, code) {
            (Some((kind, ..)), _) => *kind,
            // the same as "server stopped", from one layer below and without its code
            (None, _) if bare == "raft: stopped" => Kind::Stopped,
            // hyper calls a request canceled whose connection ended before the answer
            (None, 1 | 2) if chain.contains("connection closed") => Kind::Unreachable,
            // canceled and deadline exceeded
            (None, 1 | 4) => Kind::Deadline,
            (None, 14) => Kind::Unreachable,
            // tonic's own words for a connection that broke under the call
            (None, 2) if bare == "transport error" => Kind::Unreachable,
            (None, 7) => Kind::Denied,
            _ => Kind::Other,
        };
        let text = match (bare, chain) {
            (_, "") => bare.to_owned(),
            ("operation was canceled" | "transport error" | "tcp connect error" | "", _) => {
                chain.to_owned()
            }
            _ => format!("{bare}: {chain}"),
        };
        Self { kind, text }
    }
}

/// What is wrong with a certificate, as far as one side of a handshake tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadCertificate {
    /// The member's own is over.
    Expired,
    /// The member's own has not begun: a clock is wrong.
    NotYetValid,
    /// The member's own is of another authority than the one given.
    OtherAuthority,
    /// The member's own is for another address or name.
    OtherName,
    /// The member did not accept ours, and said it is over.
    OursExpired,
    /// The member did not accept ours: another authority, or not for clients.
    OursRefused,
    /// The certificate is good, and its user has no right to the call.
    NoRight,
}

impl Fault {
    /// Tells whether a certificate is the reason: there is no code for it, only the words of rustls.
    pub fn certificate(&self) -> Option<BadCertificate> {
        use BadCertificate as Bad;
        let has = |text: &str| self.text.contains(text);
        let ours = has("received fatal alert");
        match () {
            () if ours && has("Expired") => Some(Bad::OursExpired),
            () if ours && (has("Certificate") || has("UnknownCA") || has("AccessDenied")) => {
                Some(Bad::OursRefused)
            }
            () if ours => None,
            () if has("certificate expired") || has("CertExpired") => Some(Bad::Expired),
            () if has("not valid yet") || has("NotValidYet") => Some(Bad::NotYetValid),
            () if has("UnknownIssuer") || has("BadSignature") => Some(Bad::OtherAuthority),
            () if has("not valid for") || has("NotValidForName") => Some(Bad::OtherName),
            () if self.kind == Kind::Denied => Some(Bad::NoRight),
            () => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl From<etcd_client::Error> for Fault {
    fn from(error: etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => {
                Self::from_status(i32::from(status.code()), status.message(), &chain(&status))
            }
            etcd_client::Error::TransportError(error) => {
                Self { kind: Kind::Unreachable, text: format!("{error}: {}", chain(&error)) }
            }
            other => Self { kind: Kind::Other, text: other.to_string() },
        }
    }
}

/// The causes below an error, in order, each said once: tonic says "transport error" and keeps the reason to itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = vec![];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.retain(|part| part != "transport error" && !part.starts_with("status:"));
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: i32, message: &str) -> Kind {
        Fault::from_status(code, message, "").kind
    }

    #[test]
    fn code_and_message_together_tell_the_kind() {
        assert_eq!(kind(9, "etcdserver: not leader"), Kind::NotLeader);
        assert_eq!(kind(9, "etcdserver: can only promote a learner member"), Kind::NotLearner);
        assert_eq!(
            kind(9, "etcdserver: can only promote a learner member which is in sync with leader"),
            Kind::LearnerNotReady
        );
        assert_eq!(kind(5, "etcdserver: member not found"), Kind::MemberNotFound);
        assert_eq!(kind(14, "etcdserver: member not found"), Kind::Unreachable, "the code differs");
        assert_eq!(
            kind(14, "etcdserver: request timed out, possibly due to connection lost"),
            Kind::TimedOut
        );
        assert_eq!(kind(14, "etcdserver: not capable"), Kind::NotCapable);
        assert_eq!(kind(4, "Deadline expired before operation could complete"), Kind::Deadline);
        assert_eq!(kind(13, "whatever"), Kind::Other);
        assert_eq!(kind(2, "transport error"), Kind::Unreachable);
        assert_eq!(kind(2, "raft: stopped"), Kind::Stopped);
        // as the server really sends it: rpctypes' error for clients, which has no code
        let unstarted = "etcdserver: re-configuration failed due to not enough started members";
        assert_eq!(kind(2, unstarted), Kind::NotEnoughStarted);
    }

    #[test]
    fn every_known_text_is_its_own_kind() {
        for (kind, code, text) in KNOWN {
            assert_eq!(
                Fault::from_status(*code as i32, &format!("etcdserver: {text}"), "").kind,
                *kind
            );
        }
    }

    #[test]
    fn no_call_that_may_have_arrived_is_repeated_blindly() {
        for kind in
            [Kind::Deadline, Kind::Unreachable, Kind::TimedOut, Kind::LeaderChanged, Kind::Stopped]
        {
            assert_eq!(kind.retry(), Retry::Reread, "{kind:?}");
        }
        assert_eq!(Kind::MemberNotFound.retry(), Retry::Done);
    }
}

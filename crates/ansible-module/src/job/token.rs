//! The name of a job's socket, and who is at the other end of one.

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::geteuid,
};
use std::{
    fmt, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixStream},
    },
};

/// 128 random bits, chosen by whoever starts the job: so it can be found even if its first word was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(u128);

impl Token {
    /// 32 hexadecimal digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| digits).map(Self)
    }

    /// Of the socket.
    pub(crate) fn address(self) -> io::Result<SocketAddr> {
        SocketAddr::from_abstract_name(format!("quorate/job/{self}"))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Whether the other end is a process of the same user. Anybody can connect, and anybody can take the name once its job has ended.
pub(crate) fn is_own(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_32_hexadecimal_digits_and_nothing_else() {
        let text = "00c0ffee00c0ffee00c0ffee00c0ffee";
        assert_eq!(Token::read(text).unwrap().to_string(), text);
        for not in ["", "c0ffee", "+0c0ffee00c0ffee00c0ffee00c0ffee", &format!("{text}0")] {
            assert_eq!(Token::read(not), None, "{not}");
        }
    }
}

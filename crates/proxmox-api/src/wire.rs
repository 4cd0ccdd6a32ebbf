//! Keeps the reason phrase of answers.
//!
//! PVE before pve-http-server of 2025-01 puts the text of an error nowhere else, and ureq (like every HTTP client in Rust) throws it away. This
//! transport looks at the bytes as they pass and changes nothing. The traits are ureq's `unversioned` ones: a change of them is a compile error here.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use ureq::{
    Error,
    unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
};

/// The reason phrase of the answer seen last.
#[derive(Clone, Default)]
pub struct Reason(Arc<Mutex<String>>);

impl Reason {
    /// Takes it out, so that it cannot be mistaken for the next answer's.
    pub fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, input: &[u8]) {
        let Some(reason) = reason_phrase(input) else { return };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Reason")
    }
}

/// `HTTP/1.1 500 VM is locked (backup)\r\n`, at the start of an answer.
fn reason_phrase(input: &[u8]) -> Option<String> {
    let rest = input.strip_prefix(b"HTTP/1.1 ").or_else(|| input.strip_prefix(b"HTTP/1.0 "))?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(rest.get(..end)?).into_owned();
    Some(line.split_once(' ').map(|(_, reason)| reason.trim().to_owned()).unwrap_or_default())
}

impl<In: Transport> Connector<In> for Reason {
    type Out = Watched<In>;

    fn connect(
        &self,
        _: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Watched { inner, reason: self.clone() }))
    }
}

/// A connection whose answers are looked at.
#[derive(Debug)]
pub struct Watched<In> {
    inner: In,
    reason: Reason,
}

impl<In: Transport> Transport for Watched<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let more = self.inner.await_input(timeout)?;
        self.reason.note(self.inner.buffers().input());
        Ok(more)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phrase_is_what_follows_the_status() {
        let reason = |text: &str| reason_phrase(text.as_bytes());
        assert_eq!(
            reason("HTTP/1.1 500 VM is locked (backup)\r\nx: y\r\n"),
            Some("VM is locked (backup)".into())
        );
        assert_eq!(reason("HTTP/1.1 200\r\n"), Some(String::new()));
        assert_eq!(reason("HTTP/1.1 500 not whole"), None);
        assert_eq!(reason("{\"data\":\"HTTP/1.1 500 x\r\n\"}"), None);
    }
}

//! What makes a file a snapshot: its last 32 bytes are the SHA-256 of all before them, and those are a bbolt database.
//!
//! A database is made of pages, so that the size of a whole snapshot is a multiple of 512 plus 32 (`etcdutl/snapshot`, `hasChecksum`).
//! A stream that was cut has no hash at its end, or the wrong one.

use std::fmt;

use sha2::{Digest, Sha256};

/// Length of the hash at the end.
pub const TRAILER: usize = 32;
/// At this offset of its first two pages a bbolt database says what it is.
const MAGIC_AT: usize = 16;
const MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();

/// Reads a snapshot piece by piece, and remembers only what is needed to judge it.
#[derive(Clone, Default)]
pub struct Verifier {
    hash: Sha256,
    head: Vec<u8>,
    /// The newest bytes, which may turn out to be the trailer.
    tail: Vec<u8>,
    size: u64,
}

/// What a whole file has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// All bytes, the trailer included.
    pub size: u64,
    /// SHA-256 of all bytes, the trailer included, as `sha256sum` shows it.
    pub sha256: String,
}

/// Why a file is no snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// It cannot hold whole pages and a hash.
    Size(u64),
    /// Its hash is another.
    Hash,
    /// It is no database.
    NoDatabase,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => {
                write!(
                    f,
                    "its size of {size} bytes is not a multiple of 512 plus a hash of 32: it was cut short, or is the `db` of a data directory, which has no hash"
                )
            }
            Self::Hash => f.write_str(
                "the hash at its end is not that of its content: it was cut short or changed",
            ),
            Self::NoDatabase => f.write_str("it does not begin as a bbolt database does"),
        }
    }
}

impl Verifier {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let missing = (MAGIC_AT + MAGIC.len()).saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(missing));
        // Whatever is followed by 32 more bytes is content.
        if let Some((content, tail)) = bytes.split_last_chunk::<TRAILER>() {
            self.hash.update(&self.tail);
            self.hash.update(content);
            self.tail.clear();
            self.tail.extend_from_slice(tail);
            return;
        }
        self.tail.extend_from_slice(bytes);
        let content = self.tail.len().saturating_sub(TRAILER);
        self.hash.update(self.tail.get(..content).unwrap_or_default());
        self.tail.drain(..content);
    }

    /// Judges what was taken.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn finish(self) -> Result<Verified, Invalid> {
        if self.size % 512 != TRAILER as u64 || self.size <= TRAILER as u64 {
            return Err(Invalid::Size(self.size));
        }
        let Self { mut hash, head, tail, size } = self;
        if hash.clone().finalize().as_slice() != tail {
            return Err(Invalid::Hash);
        }
        if head.get(MAGIC_AT..) != Some(&MAGIC) {
            return Err(Invalid::NoDatabase);
        }
        hash.update(&tail);
        let sha256 = hex(&hash.finalize());
        Ok(Verified { size, sha256 })
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(pages: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..pages * 512).map(|at| u8::try_from(at % 251).unwrap()).collect();
        bytes[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(&MAGIC);
        bytes.extend(Sha256::digest(&bytes));
        bytes
    }

    fn judge(bytes: &[u8], step: usize) -> Result<Verified, Invalid> {
        let mut verifier = Verifier::default();
        bytes.chunks(step).for_each(|piece| verifier.update(piece));
        verifier.finish()
    }

    #[test]
    fn however_it_is_cut_into_pieces_a_whole_snapshot_is_valid() {
        let bytes = snapshot(5);
        let whole = hex(&Sha256::digest(&bytes));
        for step in [1, 7, 31, 32, 33, 512, 4096] {
            assert_eq!(
                judge(&bytes, step),
                Ok(Verified { size: 5 * 512 + 32, sha256: whole.clone() }),
                "{step}"
            );
        }
    }

    #[test]
    fn cut_anywhere_it_is_not() {
        let bytes = snapshot(3);
        for end in 0..bytes.len() {
            assert!(judge(&bytes[..end], 100).is_err(), "{end}");
        }
        // To a whole number of pages and 32 bytes: only the hash tells.
        assert_eq!(judge(&bytes[..2 * 512 + 32], 100), Err(Invalid::Hash));
        assert_eq!(judge(&bytes[..3 * 512], 100), Err(Invalid::Size(3 * 512)));
    }

    #[test]
    fn one_bit_anywhere_is_seen() {
        let bytes = snapshot(2);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(judge(&flipped, 512), Err(Invalid::Hash), "{bit}");
        }
    }

    #[test]
    fn a_hash_alone_makes_no_database() {
        let mut bytes = vec![0; 1024];
        bytes.extend(Sha256::digest(&bytes));
        assert_eq!(judge(&bytes, 512), Err(Invalid::NoDatabase));
    }
}

//! CRC-32C (Castagnoli), which can be gone on with from any earlier sum.

/// A running sum.
#[derive(Clone, Default)]
pub struct Crc(u32);

const TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "computed by the compiler, which would refuse it"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

impl Crc {
    /// Goes on from a sum.
    pub const fn new(sum: u32) -> Self {
        Self(sum)
    }

    /// The sum so far.
    pub const fn sum(&self) -> u32 {
        self.0
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let step = |crc: u32, byte: &u8| {
            let [low, ..] = (crc ^ u32::from(*byte)).to_le_bytes();
            TABLE.get(usize::from(low)).copied().unwrap_or_default() ^ crc >> 8
        };
        self.0 = !bytes.iter().fold(!self.0, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_in_one_piece_and_in_two() {
        let mut whole = Crc::default();
        whole.update(b"123456789");
        assert_eq!(whole.sum(), 0xe306_9283);
        let mut first = Crc::default();
        first.update(b"1234");
        let mut second = Crc::new(first.sum());
        second.update(b"56789");
        assert_eq!(second.sum(), whole.sum());
    }
}

//! Sizes as Proxmox VE writes them.

use std::{fmt, str::FromStr};

/// A number of bytes; prints as the largest unit that divides it (`PVE::JSONSchema::format_size`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Size(pub u64);

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, bits)| self.0 > 0 && self.0.is_multiple_of(1 << bits));
        match unit {
            Some((letter, bits)) => write!(f, "{}{letter}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    /// Reads `32G`, `4608M`, `1.5T` or plain bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no size such as 32G or 512M");
        let unit = UNITS
            .iter()
            .find_map(|(letter, bits)| text.strip_suffix(*letter).map(|number| (number, *bits)));
        let (number, bits) = unit.unwrap_or((text, 0));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(wrong());
        }
        let bytes = whole
            .parse::<u64>()
            .ok()
            .and_then(|whole| whole.checked_mul(1 << bits))
            .ok_or_else(wrong)?;
        let part: u128 = format!("0{fraction}").parse().unwrap_or(0);
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let part = u64::try_from((part << bits) / scale).map_err(|_| wrong())?;
        bytes.checked_add(part).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_they_were_read() {
        for text in ["6G", "4608M", "32T", "1K", "1000", "0"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("1.5G".parse(), Ok(Size(3 << 29)));
        assert_eq!("4096K".parse::<Size>().unwrap().to_string(), "4M");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "G", "-1G", "1X", "1e3", "99999999999T", "1 G"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}

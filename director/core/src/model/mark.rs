//! Firewall marks.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// A firewall mark: 1 to 0x7fffffff. Written in decimal or hexadecimal, shown both ways.
///
/// The highest bit stays free: it tells destination ids from slots in the ct mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(NonZeroU32);

impl Mark {
    /// The highest mark.
    pub const MAX: u32 = 0x7fff_ffff;

    /// `None` unless `value` is 1 to [`Self::MAX`].
    #[must_use]
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).filter(|_| value <= Self::MAX).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:x})", self.0, self.0)
    }
}

/// A text is no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mark: a number from 1 to 2147483647, as 80 or 0x50")]
pub struct ParseMarkError;

impl FromStr for Mark {
    type Err = ParseMarkError;

    fn from_str(text: &str) -> Result<Self, ParseMarkError> {
        let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            // from_str_radix would take a sign here.
            Some(hex) if hex.starts_with('+') => return Err(ParseMarkError),
            Some(hex) => u32::from_str_radix(hex, 16),
            None => text.parse(),
        };
        value.ok().and_then(Self::new).ok_or(ParseMarkError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_hexadecimal_name_the_same_mark() {
        assert_eq!("80".parse::<Mark>(), "0x50".parse());
        assert_eq!("0x50".parse::<Mark>().unwrap().to_string(), "80 (0x50)");
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        for text in ["", "0", "-1", "0x", "0x80000000", "4294967296", "0x+5", "eighty", "80 "] {
            assert_eq!(text.parse::<Mark>(), Err(ParseMarkError), "{text:?}");
        }
    }
}

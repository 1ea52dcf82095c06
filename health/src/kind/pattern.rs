//! Regular expressions that can be compared.

use regex::bytes::{Regex, RegexBuilder};

/// A regular expression over bytes, equal to another one of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// A compiled expression takes no more memory than this, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

impl Pattern {
    /// Compiles `text`, in the syntax of the `regex` crate: no look-around, no back-references, and time linear in
    /// the searched text.
    ///
    /// # Errors
    /// What is wrong with the expression, in words.
    pub fn new(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text).size_limit(SIZE_LIMIT).build().map(Self).map_err(|error| error.to_string())
    }

    /// The text that it was made of.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// True if it is found anywhere in `haystack`.
    #[must_use]
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        self.0.is_match(haystack)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

//! What nft and the director keep with rules, elements and sets: type, length, value, a byte each for the first
//! two. nft passes over types it does not know.

use crate::ir::{DataType, MapData, MapSpec};
use crate::observed::Fingerprint;

/// Longest comment, in bytes.
pub(super) const COMMENT_MAX: usize = 128;

/// Comment of a rule or of an element, terminated.
const COMMENT: u8 = 0;
/// Ours: the rule's fingerprint, 8 bytes in network order. Far from the numbers that nft gives out.
const FINGERPRINT: u8 = 0xd1;
/// Byte order in which nft prints keys and data: 4 bytes in host order.
const KEY_BYTE_ORDER: u8 = 0;
const DATA_BYTE_ORDER: u8 = 1;

/// Checks a comment.
pub(super) fn comment(text: &str) -> Result<(), String> {
    if text.len() > COMMENT_MAX || text.bytes().any(|byte| byte == 0) {
        return Err(format!("the comment `{text}` is longer than {COMMENT_MAX} bytes or holds a zero byte"));
    }
    Ok(())
}

/// With a rule: its comment, and its fingerprint.
pub(super) fn of_rule(text: Option<&str>, fingerprint: Fingerprint) -> Result<Vec<u8>, String> {
    let mut out = text.map(of_element).transpose()?.unwrap_or_default();
    put(&mut out, FINGERPRINT, &fingerprint.0.to_be_bytes());
    Ok(out)
}

/// With an element: its comment.
pub(super) fn of_element(text: &str) -> Result<Vec<u8>, String> {
    comment(text)?;
    let mut out = Vec::new();
    put(&mut out, COMMENT, &[text.as_bytes(), &[0]].concat());
    Ok(out)
}

/// With a set: without it nft misprints marks.
pub(super) fn of_set(spec: &MapSpec) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, KEY_BYTE_ORDER, &byte_order(&spec.key).to_ne_bytes());
    match &spec.data {
        MapData::None => {}
        MapData::Values(types) => put(&mut out, DATA_BYTE_ORDER, &byte_order(types).to_ne_bytes()),
        MapData::Verdict => put(&mut out, DATA_BYTE_ORDER, &0_u32.to_ne_bytes()),
    }
    out
}

/// The fingerprint in a rule's user data.
pub(super) fn fingerprint(userdata: &[u8]) -> Option<Fingerprint> {
    let value = Entries(userdata).find(|(kind, _)| *kind == FINGERPRINT)?.1;
    Some(Fingerprint(u64::from_be_bytes(value.try_into().ok()?)))
}

/// The comment in an element's user data.
pub(super) fn element_comment(userdata: &[u8]) -> Option<String> {
    let value = Entries(userdata).find(|(kind, _)| *kind == COMMENT)?.1;
    String::from_utf8(value.strip_suffix(&[0])?.to_vec()).ok()
}

/// 1 is the host's order, 2 the network's, 0 that of each field of a concatenation.
fn byte_order(types: &[DataType]) -> u32 {
    match types {
        [DataType::Mark] => 1,
        [_] => 2,
        _ => 0,
    }
}

fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    out.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    out.extend(value);
}

struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [kind, length] = *self.0.first_chunk()?;
        let end = 2 + usize::from(length);
        let value = self.0.get(2..end)?;
        self.0 = self.0.get(end..)?;
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comment_and_fingerprint_are_found_again() {
        let userdata = of_rule(Some("no server"), Fingerprint(0x0102_0304_0506_0708)).unwrap();
        assert_eq!(element_comment(&userdata).as_deref(), Some("no server"));
        assert_eq!(fingerprint(&userdata), Some(Fingerprint(0x0102_0304_0506_0708)));
        assert_eq!(fingerprint(&of_element("x").unwrap()), None);
    }

    #[test]
    fn a_comment_has_a_limit() {
        assert!(of_element(&"x".repeat(COMMENT_MAX)).is_ok());
        assert!(of_element(&"x".repeat(COMMENT_MAX + 1)).is_err());
        assert!(of_element("a\0b").is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fingerprint(&bytes);
            element_comment(&bytes);
        }
    }
}

//! Signed adverts: a trailer that proves who sent an advert and when, between two directors that share a key.
//!
//! ```text
//! +---------------+---------------+-------------------------------+
//! | format: 1     | key id        | 0                             |
//! +---------------+---------------+-------------------------------+
//! | epoch: one for each start of the sender, always higher (8)    |
//! | counter: one for each advert (8)                              |
//! | successor: who shall be Active next, or zero (16)             |
//! | HMAC-SHA256 (32)                                              |
//! +---------------------------------------------------------------+
//! ```
//!
//! The HMAC covers the sender's address and everything before it, with a checksum of zero. Each receiver remembers,
//! for each sender, the newest sequence and which of the 64 before it were heard (as RFC 4303, section 3.4.3 does).
//! No clocks are compared, so a clock that jumps does nothing.

use crate::vrrp::packet::Discard;
use ring::hmac;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of the trailer.
pub const TRAILER: usize = CLAIM + SIGNATURE;
/// Bytes that a key's secret has at least.
pub const SECRET_MINIMUM: usize = 16;

/// A shared secret with a number, which says in each advert which one was used.
#[derive(Clone)]
pub struct Key {
    id: u8,
    hmac: hmac::Key,
}

/// Not a usable set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It could be guessed.
    #[error(
        "a key has at least {SECRET_MINIMUM} bytes, this one has {0}: make one with 'openssl rand -base64 32'"
    )]
    Short(usize),
    /// Nobody could tell which is meant.
    #[error("two keys have the number {0}: give each its own")]
    SameId(u8),
}

impl Key {
    /// # Errors
    /// [`KeyError::Short`].
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_MINIMUM {
            return Err(KeyError::Short(secret.len()));
        }
        // The same secret may serve other protocols: none of them shall make a tag that is good here.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"director: VRRP adverts");
        Ok(Self { id, hmac: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) })
    }
}

/// Shows the number alone.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {}", self.id)
    }
}

/// The key that signs, and one more that is accepted.
///
/// To change keys without an unsigned moment: accept the new one on every director, then sign with it on every
/// director and accept the old one, then drop the old one.
#[derive(Debug, Clone)]
pub struct Keyring {
    signing: Key,
    also: Option<Key>,
}

impl Keyring {
    /// # Errors
    /// [`KeyError::SameId`].
    pub fn new(signing: Key, also: Option<Key>) -> Result<Self, KeyError> {
        match &also {
            Some(also) if also.id == signing.id => Err(KeyError::SameId(also.id)),
            _ => Ok(Self { signing, also }),
        }
    }

    fn key(&self, id: u8) -> Option<&Key> {
        std::iter::once(&self.signing).chain(&self.also).find(|key| key.id == id)
    }
}

/// Which advert of a sender this is. Later ones compare as greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// Higher with each start of the sender: nanoseconds of the wall clock, or one more than the last one on disk,
    /// whichever is higher.
    pub epoch: u64,
    /// Higher with each advert.
    pub counter: u64,
}

/// What a trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which advert of its sender this is.
    pub sequence: Sequence,
    /// The address of the peer that shall take over, in an advert of priority 0.
    pub successor: Option<IpAddr>,
}

/// Appends a trailer to `message`, whose checksum is zero.
pub(crate) fn sign(message: &mut Vec<u8>, keyring: &Keyring, source: IpAddr, claim: &Claim) {
    message.extend([FORMAT, keyring.signing.id, 0, 0]);
    message.extend(claim.sequence.epoch.to_be_bytes());
    message.extend(claim.sequence.counter.to_be_bytes());
    message.extend(claim.successor.map_or([0; 16], octets));
    let mut context = hmac::Context::with_key(&keyring.signing.hmac);
    context.update(&octets(source));
    context.update(message);
    message.extend(context.sign().as_ref());
}

/// Reads the trailer of `message`, whose checksum is zero.
pub(crate) fn verify(message: &[u8], keyring: &Keyring, source: IpAddr) -> Result<Claim, Discard> {
    let (signed, signature) = message.split_last_chunk::<SIGNATURE>().ok_or(Discard::Unsigned)?;
    let (_, claim) = signed.split_last_chunk::<CLAIM>().ok_or(Discard::Unsigned)?;
    let &[format, id, _, _, ref numbers @ ..] = claim;
    if format != FORMAT {
        return Err(Discard::Unsigned);
    }
    let key = keyring.key(id).ok_or(Discard::UnknownKey { id })?;
    let said = [&octets(source), signed].concat();
    hmac::verify(&key.hmac, &said, signature).map_err(|_| Discard::Signature)?;
    let (sequence, successor) = numbers.as_chunks::<16>().0.split_first().ok_or(Discard::Unsigned)?;
    let sequence = u128::from_be_bytes(*sequence);
    let halves = (u64::try_from(sequence >> 64), u64::try_from(sequence & u128::from(u64::MAX)));
    let (Ok(epoch), Ok(counter)) = halves else { return Err(Discard::Unsigned) };
    let successor = successor.first().map(|&octets| Ipv6Addr::from(octets)).filter(|it| !it.is_unspecified());
    Ok(Claim {
        sequence: Sequence { epoch, counter },
        successor: successor.map(|address| IpAddr::V6(address).to_canonical()),
    })
}

/// Which adverts of one sender were heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    newest: Sequence,
    /// Bit n: `newest` less n was heard.
    heard: u64,
}

impl Window {
    /// Begins with the first advert of a sender, which is not known to be new.
    #[must_use]
    pub const fn new(first: Sequence) -> Self {
        Self { newest: first, heard: 1 }
    }

    /// Goes on after a restart: everything up to `newest` counts as heard.
    #[must_use]
    pub const fn resume(newest: Sequence) -> Self {
        Self { newest, heard: u64::MAX }
    }

    /// Takes in `sequence`; false if it was heard before, or if it is too old to tell.
    pub fn admit(&mut self, sequence: Sequence) -> bool {
        if sequence.epoch > self.newest.epoch {
            *self = Self::new(sequence);
            return true;
        }
        if sequence.epoch < self.newest.epoch {
            return false;
        }
        if sequence.counter > self.newest.counter {
            let moved = u32::try_from(sequence.counter - self.newest.counter).unwrap_or(u32::MAX);
            self.heard = self.heard.checked_shl(moved).unwrap_or(0) | 1;
            self.newest = sequence;
            return true;
        }
        let back = u32::try_from(self.newest.counter - sequence.counter).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        let new = bit != 0 && self.heard & bit == 0;
        self.heard |= bit;
        new
    }

    /// The newest advert heard: what is worth keeping across a restart.
    #[must_use]
    pub const fn newest(&self) -> Sequence {
        self.newest
    }
}

/// One form for both families.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

const FORMAT: u8 = 1;
/// Bytes of the trailer before its signature.
const CLAIM: usize = 4 + 16 + 16;
const SIGNATURE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sequence(counter: u64) -> Sequence {
        Sequence { epoch: 7, counter }
    }

    #[test]
    fn a_window_admits_each_sequence_once_in_any_order() {
        let mut window = Window::new(sequence(100));
        assert!(!window.admit(sequence(100)));
        assert!(window.admit(sequence(102)));
        assert!(window.admit(sequence(101)), "overtaken on the way");
        assert!(!window.admit(sequence(101)));
        assert!(window.admit(sequence(164)), "a gap");
        assert!(!window.admit(sequence(101)));
        assert!(window.admit(sequence(103)));
        assert!(!window.admit(sequence(99)), "too old to tell");
        assert!(window.admit(sequence(u64::MAX)));
        assert!(!window.admit(sequence(164)));
    }

    #[test]
    fn after_a_restart_only_newer_ones_are_admitted() {
        let mut window = Window::resume(sequence(100));
        assert!(!window.admit(sequence(100)) && !window.admit(sequence(99)) && !window.admit(sequence(37)));
        assert!(window.admit(sequence(101)));
    }

    #[test]
    fn a_sender_that_started_anew_begins_again_and_its_old_adverts_are_void() {
        let mut window = Window::new(sequence(100));
        assert!(window.admit(Sequence { epoch: 8, counter: 0 }));
        assert!(!window.admit(sequence(101)));
        assert_eq!(window.newest(), Sequence { epoch: 8, counter: 0 });
    }

    #[test]
    fn keys_are_long_and_told_apart() {
        assert_eq!(Key::new(1, b"secret").unwrap_err(), KeyError::Short(6));
        let key = Key::new(1, &[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "Key 1");
        assert_eq!(Keyring::new(key.clone(), Some(key)).unwrap_err(), KeyError::SameId(1));
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_twice(counters in proptest::collection::vec(0_u64..200, 1..300)) {
            let mut window = Window::new(sequence(counters[0]));
            let mut heard = BTreeSet::from([counters[0]]);
            for &counter in &counters[1..] {
                let newest = window.newest().counter;
                let expected = newest.saturating_sub(counter) < 64 && !heard.contains(&counter);
                prop_assert_eq!(window.admit(sequence(counter)), expected);
                if expected {
                    heard.insert(counter);
                }
            }
        }
    }
}

//! Signatures: a trailer that proves who sent an advert or a hello and when, between directors that share a key.
//!
//! ```text
//! +---------------+---------------+-------------------------------+
//! | format: 1     | key id        | 0                             |
//! +---------------+---------------+-------------------------------+
//! | epoch: one for each start of the sender, always higher (8)    |
//! | counter: one for each message (8)                             |
//! | successor: who shall be Active next, or zero (16)             |
//! | HMAC-SHA256 (32)                                              |
//! +---------------------------------------------------------------+
//! ```
//!
//! The HMAC covers the sender's address, for adverts the destination too, and everything before it, with a checksum of
//! zero: what was meant for one director is worth nothing to another. Each use has a key of its
//! own, derived from the secret, so that what is signed for one is worth nothing in another. Each receiver remembers,
//! for each sender, the newest sequence and which of the 64 before it were heard (as RFC 4303, section 3.4.3 does).
//! No clocks are compared, so a clock that jumps does nothing. A sender whose epoch went back all the same, because what
//! it kept of it is lost, hears so in the hellos of those who refuse it, and begins a higher one.

mod replay;

pub use replay::{Sequence, Window, Windows};

use crate::vrrp::packet::Discard;
use ring::hmac;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of the trailer.
pub const TRAILER: usize = CLAIM + SIGNATURE;
/// Bytes that a key's secret has at least.
pub const SECRET_MINIMUM: usize = 16;

/// A shared secret with a number, which says in each message which one was used.
#[derive(Clone)]
pub struct Key {
    id: u8,
    adverts: hmac::Key,
    hellos: hmac::Key,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Adverts to a peer, or to the group.
    Adverts { to: IpAddr },
    /// Hellos.
    Hellos,
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
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = |label| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, label).as_ref());
        Ok(Self { id, adverts: derived(b"director: VRRP adverts"), hellos: derived(b"director: hellos") })
    }

    const fn hmac(&self, purpose: Purpose) -> &hmac::Key {
        match purpose {
            Purpose::Adverts { .. } => &self.adverts,
            Purpose::Hellos => &self.hellos,
        }
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

/// What a trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Which message of its sender this is.
    pub sequence: Sequence,
    /// The address of the peer that shall take over, in an advert of priority 0.
    pub successor: Option<IpAddr>,
}

/// Appends a trailer to `message`, whose checksum is zero.
pub(crate) fn sign(
    message: &mut Vec<u8>,
    keyring: &Keyring,
    purpose: Purpose,
    source: IpAddr,
    claim: &Claim,
) {
    message.extend([FORMAT, keyring.signing.id, 0, 0]);
    message.extend(claim.sequence.epoch.to_be_bytes());
    message.extend(claim.sequence.counter.to_be_bytes());
    message.extend(claim.successor.map_or([0; 16], octets));
    let mut context = hmac::Context::with_key(keyring.signing.hmac(purpose));
    context.update(&parties(purpose, source));
    context.update(message);
    message.extend(context.sign().as_ref());
}

/// True if `message` ends as a signed one does. It takes [`verify`] to know.
pub(crate) fn looks_signed(message: &[u8]) -> bool {
    let trailer = message.split_last_chunk::<TRAILER>().map(|(_, trailer)| trailer);
    trailer.is_some_and(|trailer| trailer.first() == Some(&FORMAT))
}

/// Reads the trailer of `message`, whose checksum is zero.
pub(crate) fn verify(
    message: &[u8],
    keyring: &Keyring,
    purpose: Purpose,
    source: IpAddr,
) -> Result<Claim, Discard> {
    let (signed, signature) = message.split_last_chunk::<SIGNATURE>().ok_or(Discard::Unsigned)?;
    let (_, claim) = signed.split_last_chunk::<CLAIM>().ok_or(Discard::Unsigned)?;
    let &[format, id, _, _, ref numbers @ ..] = claim;
    if format != FORMAT {
        return Err(Discard::Unsigned);
    }
    let key = keyring.key(id).ok_or(Discard::UnknownKey { id })?;
    let said = [&parties(purpose, source), signed].concat();
    hmac::verify(key.hmac(purpose), &said, signature).map_err(|_| Discard::Signature)?;
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

/// Who speaks, and to whom.
fn parties(purpose: Purpose, source: IpAddr) -> Vec<u8> {
    let destination = match purpose {
        Purpose::Adverts { to } => Some(octets(to)),
        Purpose::Hellos => None,
    };
    let mut parties = octets(source).to_vec();
    parties.extend(destination.iter().flatten());
    parties
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

    #[test]
    fn each_use_has_a_key_of_its_own() {
        let key = Key::new(1, &[7; 32]).unwrap();
        let tag = |purpose| hmac::sign(key.hmac(purpose), b"the same").as_ref().to_vec();
        let advert = tag(Purpose::Adverts { to: [192, 168, 1, 34].into() });
        assert_ne!(advert, tag(Purpose::Hellos));
        assert_eq!(advert, tag(Purpose::Adverts { to: [192, 168, 1, 38].into() }));
    }

    #[test]
    fn a_trailer_of_another_format_is_not_read_as_this_one() {
        let ring = Keyring::new(Key::new(1, &[7; 32]).unwrap(), None).unwrap();
        let source = IpAddr::from([192, 168, 1, 33]);
        for format in [FORMAT, FORMAT + 1] {
            let mut message = [[format, 1, 0, 0].to_vec(), vec![0; CLAIM - 4]].concat();
            let said = [&parties(Purpose::Hellos, source), &*message].concat();
            message.extend(hmac::sign(ring.signing.hmac(Purpose::Hellos), &said).as_ref());
            assert_eq!(verify(&message, &ring, Purpose::Hellos, source).is_ok(), format == FORMAT);
        }
    }

    #[test]
    fn keys_are_long_and_told_apart() {
        assert_eq!(Key::new(1, b"secret").unwrap_err(), KeyError::Short(6));
        assert_eq!(Key::new(1, &[7; 15]).unwrap_err(), KeyError::Short(15));
        assert!(Key::new(1, &[7; 16]).is_ok());
        let key = Key::new(1, &[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "Key 1");
        assert_eq!(Keyring::new(key.clone(), Some(key)).unwrap_err(), KeyError::SameId(1));
    }
}

//! Connection requests to remote desktops, and what comes back: X.224 in TPKT, with RDP's negotiation of security
//! (MS-RDPBCGR 2.2.1.1 and 2.2.1.2).

use super::speaker::Speaker;
use crate::excerpt::excerpt;
use crate::kind::Rdp;
use crate::{Failure, Fault, Passed};
use std::fmt;

/// What to say before leaving: a disconnect request.
pub const DISCONNECT: [u8; 11] = [3, 0, 0, 11, 6, DISCONNECT_REQUEST, 0, 0, 0, 0, 0];

/// Codes of X.224 packets, in the upper four bits.
const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;
const DISCONNECT_REQUEST: u8 = 0x80;
const ERROR: u8 = 0x70;

/// Kinds of negotiation data.
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;

/// What is offered: TLS (1) and CredSSP (2).
const OFFER: u8 = 3;

/// Bytes of a TPKT header: version, reserved, length of the packet in two bytes.
const HEADER: usize = 4;

/// Shortest and longest packet that is read, in bytes. A connection confirm has 11 or 19.
const SHORTEST: usize = 7;
const LONGEST: usize = 512;

/// Longest name in a cookie, in characters; the request's length is told in one byte.
const COOKIE: usize = 64;

/// The connection request. What a cookie's name has beyond 64 characters or outside printable ASCII is left out.
#[must_use]
pub fn request(settings: &Rdp) -> Vec<u8> {
    let mut variable = Vec::new();
    if let Some(name) = &settings.cookie {
        variable.extend(b"Cookie: mstshash=");
        variable.extend(name.bytes().filter(u8::is_ascii_graphic).take(COOKIE));
        variable.extend(b"\r\n");
    }
    variable.extend([NEGOTIATION_REQUEST, 0, 8, 0, OFFER, 0, 0, 0]);
    // The length indicator does not count itself. Both fit in a byte, by the limit on cookies.
    let indicator = u8::try_from(6 + variable.len()).unwrap_or(u8::MAX);
    let mut packet = vec![3, 0, 0, indicator.saturating_add(5)];
    packet.extend([indicator, CONNECTION_REQUEST, 0, 0, 0, 0, 0]);
    packet.extend(variable);
    packet
}

/// Reads an answer.
#[derive(Debug, Default)]
pub struct Reader {
    packet: Vec<u8>,
}

/// An answer to a connection request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Confirmed, with this security protocol: 0 for RDP's own, 1 for TLS, 2 for `CredSSP`.
    Negotiated(u32),
    /// Confirmed, by a host too old to negotiate.
    Confirmed,
    /// The negotiation failed, with this code.
    Refused(u32),
    /// A disconnect request, with this reason: the connection is refused.
    Disconnected(u8),
    /// Something else in a TPKT packet, with this code in the upper four bits.
    Other(u8),
    /// A TPKT packet of a length that no answer has.
    Length(usize),
    /// Lengths within the packet that do not fit together.
    Garbled,
    /// Not TPKT at all: the first bytes.
    Foreign([u8; HEADER]),
}

impl Reader {
    /// Takes in what came, until the answer is whole. What follows it does not matter.
    pub fn receive(&mut self, bytes: &[u8]) -> Option<Answer> {
        for &byte in bytes {
            self.packet.push(byte);
            if let Some(answer) = self.answer() {
                return Some(answer);
            }
        }
        None
    }

    /// So many bytes are awaited, as far as is known.
    fn length(&self) -> usize {
        match *self.packet.as_slice() {
            [_, _, high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => HEADER,
        }
    }

    fn answer(&self) -> Option<Answer> {
        let length = self.length();
        let (header, payload) = self.packet.split_first_chunk::<HEADER>()?;
        if header[0] != 3 {
            return Some(Answer::Foreign(*header));
        }
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Some(Answer::Length(length));
        }
        (self.packet.len() == length).then(|| parse(payload))
    }
}

/// An X.224 packet.
fn parse(packet: &[u8]) -> Answer {
    let Some((&indicator, rest)) = packet.split_first() else { return Answer::Garbled };
    let Some((fixed, variable)) = rest.get(..usize::from(indicator)).and_then(<[u8]>::split_first_chunk::<6>)
    else {
        return Answer::Garbled;
    };
    match (fixed[0] & 0xf0, variable) {
        (CONNECTION_CONFIRM, []) => Answer::Confirmed,
        (CONNECTION_CONFIRM, &[NEGOTIATION_RESPONSE, _, 8, 0, a, b, c, d]) => {
            Answer::Negotiated(u32::from_le_bytes([a, b, c, d]))
        }
        (CONNECTION_CONFIRM, &[NEGOTIATION_FAILURE, _, 8, 0, a, b, c, d]) => {
            Answer::Refused(u32::from_le_bytes([a, b, c, d]))
        }
        (CONNECTION_CONFIRM, _) => Answer::Garbled,
        (DISCONNECT_REQUEST, _) => Answer::Disconnected(fixed[5]),
        (code, _) => Answer::Other(code),
    }
}

impl Answer {
    /// What it says of the server. Where the listener works and only wants other security than was offered, it has
    /// passed with a note; if `strict`, it has failed.
    ///
    /// # Errors
    /// The server has failed, for the reason given.
    pub fn judge(self, strict: bool) -> Result<Passed, Failure> {
        let fault = match self {
            Self::Negotiated(1..) => return Ok(Passed::default()),
            Self::Confirmed if !strict => return Ok(Passed::default()),
            Self::Negotiated(0) | Self::Refused(1 | 2 | 5 | 6) if !strict => {
                return Ok(Passed::with_note(self.to_string()));
            }
            Self::Negotiated(0) | Self::Confirmed | Self::Refused(_) | Self::Disconnected(_) => Fault::Answer,
            Self::Other(_) | Self::Length(_) | Self::Garbled | Self::Foreign(_) => Fault::Protocol,
        };
        Err(Failure::new(fault, self.to_string()))
    }

    /// True if a remote desktop is there to be told that the probe leaves.
    #[must_use]
    pub fn is_confirmed(self) -> bool {
        matches!(self, Self::Negotiated(_) | Self::Confirmed)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Negotiated(0) => f.write_str(
                "the server is alive but declines TLS and CredSSP: it uses RDP's own, weaker security",
            ),
            Self::Negotiated(protocol) => write!(f, "connection confirmed, with {}", Protocol(protocol)),
            Self::Confirmed => f.write_str(
                "connection confirmed without negotiation: an old host, which knows RDP's own security only",
            ),
            Self::Refused(code) => write!(f, "{} (negotiation failure {code})", refusal(code)),
            Self::Disconnected(reason) => write!(
                f,
                "the server refuses the connection (disconnect request, reason {reason}): is Remote Desktop switched off, or full?"
            ),
            Self::Other(ERROR) => f.write_str(
                "the server takes the connection request for an error: it speaks X.224 but no remote desktop",
            ),
            Self::Other(code) => {
                write!(
                    f,
                    "the server answers the connection request with a packet of code {code:#04x}, not 0xd0"
                )
            }
            Self::Length(length) => write!(
                f,
                "this is no remote desktop: its answer claims {length} bytes, where {SHORTEST} to {LONGEST} can be"
            ),
            Self::Garbled => f.write_str(
                "the server's answer is garbled: lengths in its connection confirm do not fit together",
            ),
            Self::Foreign(bytes) => {
                let name = Speaker::of(&bytes).map(|name| format!(" but {name}")).unwrap_or_default();
                write!(f, "this is no remote desktop{name}: its answer begins with {}", excerpt(&bytes))
            }
        }
    }
}

/// A failure of the negotiation in words (MS-RDPBCGR 2.2.1.2.2).
fn refusal(code: u32) -> &'static str {
    match code {
        1 => "the server is alive but insists on TLS",
        2 => "the server is alive but allows RDP's own security only, neither TLS nor CredSSP",
        3 => {
            "the server has no certificate, so no client can connect: give Remote Desktop a certificate whose key it may read"
        }
        4 => "the server finds the request's flags inconsistent: something on the way may have changed it",
        5 => "the server is alive but insists on CredSSP (network level authentication)",
        6 => "the server is alive but insists on TLS with a client certificate",
        _ => "the server refuses the negotiation for a reason unknown to the director",
    }
}

/// A security protocol by its number (MS-RDPBCGR 2.2.1.2.1).
struct Protocol(u32);

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("TLS"),
            2 => f.write_str("CredSSP"),
            4 => f.write_str("RDSTLS"),
            8 => f.write_str("CredSSP with early user authorization"),
            16 => f.write_str("Azure AD authentication"),
            other => write!(f, "security protocol {other:#x}"),
        }
    }
}

/// For fuzzers: reads `bytes` as a server's answer and puts all of it into words.
pub fn fuzz(bytes: &[u8]) {
    if let Some(answer) = Reader::default().receive(bytes) {
        let _ = (answer.judge(false), answer.judge(true), answer.to_string());
    }
}

#[cfg(test)]
mod tests;

//! Echo requests and their replies: RFC 792 for IPv4, RFC 4443 (sections 4.1 and 4.2) for IPv6.

/// So long is what is sent along, in bytes: as ping(8) does it, which every host and filter knows.
pub(super) const PAYLOAD: usize = 56;

/// Length of the header before it, in bytes.
const HEADER: usize = 8;

/// The IP version that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One echo request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Echo {
    /// The IP version that carries it.
    pub(super) version: Version,
    /// Tells this request's sender from others on the same host.
    pub(super) id: u16,
    /// Tells a sender's requests apart.
    pub(super) sequence: u16,
    /// What must come back.
    pub(super) payload: [u8; PAYLOAD],
}

impl Version {
    /// The message types of request and reply.
    const fn types(self) -> (u8, u8) {
        match self {
            Self::V4 => (8, 0),
            Self::V6 => (128, 129),
        }
    }

    /// The message type of replies.
    pub(super) const fn reply(self) -> u8 {
        self.types().1
    }
}

impl Echo {
    /// The request. The checksum of IPv6, which covers addresses too, is left to the kernel.
    pub(super) fn request(&self) -> Vec<u8> {
        let (request, _) = self.version.types();
        let mut message = [&[request, 0, 0, 0], &self.tag().to_be_bytes(), self.payload.as_slice()].concat();
        if self.version == Version::V4
            && let Some(place) = message.get_mut(2..4)
        {
            place.copy_from_slice(&self.checksum().to_be_bytes());
        }
        message
    }

    /// Id and sequence number, as they follow each other in a message.
    pub(super) fn tag(&self) -> u32 {
        (u32::from(self.id) << 16) | u32::from(self.sequence)
    }

    /// True if `message`, which begins with its ICMP header, is the reply. The kernel has looked at the checksum of
    /// IPv6.
    pub(super) fn answered_by(&self, message: &[u8]) -> bool {
        let Some(([kind, 0, _, _, tag @ ..], payload)) = message.split_first_chunk::<HEADER>() else {
            return false;
        };
        *kind == self.version.reply()
            && *tag == self.tag().to_be_bytes()
            && *payload == self.payload
            && (self.version == Version::V6 || sum(message) == u16::MAX)
    }

    /// True if `message`, of which an error may quote no more than the header, is the request.
    pub(super) fn quoted_in(&self, message: &[u8]) -> bool {
        let Some(([kind, 0, _, _, tag @ ..], _)) = message.split_first_chunk::<HEADER>() else {
            return false;
        };
        *kind == self.version.types().0 && *tag == self.tag().to_be_bytes()
    }

    fn checksum(&self) -> u16 {
        let (request, _) = self.version.types();
        !sum(&[&[request, 0, 0, 0], &self.tag().to_be_bytes(), self.payload.as_slice()].concat())
    }
}

/// The message in an IPv4 packet, after the IP header; nothing if there is none.
pub(super) fn after_ip_header(packet: &[u8]) -> &[u8] {
    let Some(first) = packet.first() else { return packet };
    let words = usize::from(first & 0x0f);
    packet.get(words * 4..).unwrap_or_default()
}

/// The sum of RFC 1071: of 16-bit words in ones' complement; all ones if the checksum among them is right.
fn sum(message: &[u8]) -> u16 {
    let (words, odd) = message.as_chunks::<2>();
    let odd = odd.first().map(|&byte| u16::from_be_bytes([byte, 0]));
    let words = words.iter().map(|&word| u16::from_be_bytes(word)).chain(odd);
    words.fold(0, |sum: u16, word| match sum.overflowing_add(word) {
        (sum, false) => sum,
        (sum, true) => sum + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn echo(version: Version) -> Echo {
        Echo { version, id: 0x1234, sequence: 0xfedc, payload: [b'x'; PAYLOAD] }
    }

    /// What a host makes of a request.
    fn reply(echo: &Echo) -> Vec<u8> {
        let mut message = echo.request();
        message[0] = echo.version.reply();
        message[2..4].fill(0);
        let checksum = !sum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        message
    }

    fn echoes() -> impl Strategy<Value = Echo> {
        let version = prop_oneof![Just(Version::V4), Just(Version::V6)];
        (version, any::<u16>(), any::<u16>(), any::<[u8; 32]>()).prop_map(|(version, id, sequence, half)| {
            let mut payload = [0; PAYLOAD];
            payload[..32].copy_from_slice(&half);
            Echo { version, id, sequence, payload }
        })
    }

    #[test]
    fn a_request_is_as_the_rfcs_say() {
        let header = |version| echo(version).request()[..HEADER].to_vec();
        // 0x0800 + 0x1234 + 0xfedc + 28 * 0x7878, folded and inverted.
        assert_eq!(header(Version::V4), [8, 0, 0xb9, 0xc1, 0x12, 0x34, 0xfe, 0xdc]);
        assert_eq!(header(Version::V6), [128, 0, 0, 0, 0x12, 0x34, 0xfe, 0xdc]);
    }

    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
        assert_eq!(sum(&[0xff, 0xff, 0xff, 0xff]), 0xffff);
        assert_eq!(sum(&[0x12]), 0x1200);
    }

    #[test]
    fn only_the_reply_answers() {
        for version in [Version::V4, Version::V6] {
            let echo = echo(version);
            assert!(echo.answered_by(&reply(&echo)));
            assert!(!echo.answered_by(&echo.request()), "a host hears itself on its loopback");
            assert!(!echo.answered_by(&reply(&echo)[..HEADER]));
            assert!(echo.quoted_in(&echo.request()[..HEADER]));
            assert!(!echo.quoted_in(&reply(&echo)));
        }
    }

    #[test]
    fn an_ip_header_may_have_options() {
        let packet = |first: u8, length: usize| [&[first], vec![0; length - 1].as_slice(), b"rest"].concat();
        assert_eq!(after_ip_header(&packet(0x45, 20)), b"rest");
        assert_eq!(after_ip_header(&packet(0x4f, 60)), b"rest");
        assert_eq!(after_ip_header(&packet(0x4f, 20)), b"");
        assert_eq!(after_ip_header(b""), b"");
    }

    proptest! {
        #[test]
        fn the_checksum_of_a_request_is_right(echo in echoes()) {
            let whole = Echo { version: Version::V4, ..echo };
            prop_assert_eq!(sum(&whole.request()), u16::MAX);
        }

        #[test]
        fn a_reply_with_any_bit_changed_is_none(echo in echoes(), bit in 0..(HEADER + PAYLOAD) * 8) {
            let mut reply = reply(&echo);
            prop_assert!(echo.answered_by(&reply));
            reply[bit / 8] ^= 1 << (bit % 8);
            let checksum_of_ipv6 = echo.version == Version::V6 && (16..32).contains(&bit);
            prop_assert_eq!(echo.answered_by(&reply), checksum_of_ipv6);
        }

        #[test]
        fn nothing_that_comes_does_harm(echo in echoes(), bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            prop_assert!(!echo.answered_by(after_ip_header(&bytes)));
            let _ = echo.quoted_in(&bytes);
        }
    }
}

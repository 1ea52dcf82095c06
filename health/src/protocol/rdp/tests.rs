use super::*;
use proptest::prelude::*;

/// Answers of real servers and of broken ones, with their verdicts: `up`, `noted` or `down`, and the same if strict.
const CORPUS: [(&[u8], &str, &str, &str); 17] = [
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0",
        "up",
        "up",
        "connection confirmed, with CredSSP",
    ),
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x01\x08\0\x01\0\0\0",
        "up",
        "up",
        "connection confirmed, with TLS",
    ),
    (b"\x03\0\0\x0b\x06\xd0\0\0\x12\x34\0", "up", "down", "connection confirmed without negotiation"),
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x01\x08\0\0\0\0\0",
        "noted",
        "down",
        "declines TLS and CredSSP",
    ),
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x01\0\0\0",
        "noted",
        "down",
        "insists on TLS (negotiation failure 1)",
    ),
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x02\0\0\0",
        "noted",
        "down",
        "allows RDP's own security only",
    ),
    (b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x03\0\0\0", "down", "down", "has no certificate"),
    (b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x04\0\0\0", "down", "down", "flags inconsistent"),
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x05\0\0\0",
        "noted",
        "down",
        "network level authentication",
    ),
    (
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x06\0\0\0",
        "noted",
        "down",
        "with a client certificate",
    ),
    (b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x03\0\x08\0\x07\0\0\0", "down", "down", "unknown to the director"),
    (b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x07\0\x08\0\x01\0\0\0", "down", "down", "garbled"),
    (b"\x03\0\0\x0b\x06\x80\0\0\0\0\x02", "down", "down", "disconnect request, reason 2"),
    (b"\x03\0\0\x0b\x06\x70\0\0\0\0\0", "down", "down", "takes the connection request for an error"),
    (b"\x03\0\0\x0b\xff\xd0\0\0\0\0\0", "down", "down", "garbled"),
    (b"\x03\0\xff\xff\x06\xd0", "down", "down", "claims 65535 bytes"),
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", "down", "down", "no remote desktop but an SSH server"),
];

fn verdict(answer: Answer, strict: bool) -> &'static str {
    match answer.judge(strict) {
        Ok(Passed { note: None, .. }) => "up",
        Ok(_) => "noted",
        Err(_) => "down",
    }
}

/// The answer in pieces that end at `cuts`.
fn in_pieces(bytes: &[u8], cuts: &[usize]) -> Option<Answer> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let mut reader = Reader::default();
    cuts.windows(2).find_map(|piece| reader.receive(&bytes[piece[0]..piece[1]]))
}

#[test]
fn every_answer_has_its_verdict_in_words() {
    for (bytes, normal, strict, words) in CORPUS {
        let answer = in_pieces(bytes, &[]).unwrap();
        assert_eq!((verdict(answer, false), verdict(answer, true)), (normal, strict), "{answer:?}");
        assert!(answer.to_string().contains(words), "{answer}");
    }
}

#[test]
fn nothing_is_decided_before_an_answer_is_whole() {
    for (bytes, ..) in CORPUS.into_iter().filter(|(bytes, ..)| bytes.starts_with(b"\x03\0\0")) {
        for length in 0..bytes.len() {
            assert_eq!(in_pieces(&bytes[..length], &[]), None, "{length} bytes of {bytes:?}");
        }
    }
}

#[test]
fn requests_are_as_the_specification_draws_them() {
    let plain = request(&Rdp::default());
    assert_eq!(plain, b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0");
    let named = request(&Rdp { cookie: Some("lb".into()), strict: false });
    assert_eq!(named, b"\x03\0\0\x28\x23\xe0\0\0\0\0\0Cookie: mstshash=lb\r\n\x01\0\x08\0\x03\0\0\0");
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        (bytes, ..) in prop::sample::select(CORPUS.to_vec()),
        tail in prop::collection::vec(any::<u8>(), 0..64),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        length in any::<usize>(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut bytes = [bytes, &tail].concat();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(length % (bytes.len() + 1));
        fuzz(&bytes);
        let every: Vec<usize> = (0..bytes.len()).collect();
        let whole = in_pieces(&bytes, &[]);
        prop_assert_eq!(in_pieces(&bytes, &cuts), whole);
        prop_assert_eq!(in_pieces(&bytes, &every), whole);
    }

    #[test]
    fn whatever_comes_is_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..2_048)) {
        fuzz(&bytes);
        let mut reader = Reader::default();
        let answer = reader.receive(&bytes);
        prop_assert!(reader.packet.len() <= LONGEST);
        prop_assert!(answer.is_some() || bytes.len() < LONGEST);
    }

    #[test]
    fn a_request_tells_its_own_length_whatever_the_cookie(cookie in ".{0,300}") {
        let packet = request(&Rdp { cookie: Some(cookie), strict: false });
        prop_assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
        prop_assert_eq!(usize::from(packet[4]) + 5, packet.len());
        prop_assert_eq!(packet.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}

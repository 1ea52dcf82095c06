//! The question as it is sent, and which messages answer it.

use crate::excerpt::line;
use crate::kind::Dns;
use crate::kind::dns::{labels, record_type};
use hickory_proto::op::{Header, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// So much of what is wrong with a message is shown, in characters.
const ERROR_SHOWN: usize = 100;

/// A question with a random id.
#[derive(Debug)]
pub(super) struct Question {
    id: u16,
    query: Query,
    bytes: Vec<u8>,
}

/// Why a message is no answer to the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is something else; what, in words.
    Stray(&'static str),
    /// It is the answer, but there was no room for all of it.
    CutShort,
    /// It is the answer, but cannot be read; why, in words.
    Broken(String),
}

impl Question {
    /// The question of a probe.
    ///
    /// # Errors
    /// It cannot be asked; why, in words.
    pub(super) fn new(dns: &Dns) -> Result<Self, String> {
        let name = Name::from_labels(labels(&dns.query)?.into_iter().map(str::as_bytes));
        let name = name.map_err(|error| error.to_string())?;
        let query = Query::query(name, RecordType::from(record_type(&dns.record)?));
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let bytes = message.to_vec().map_err(|error| error.to_string())?;
        Ok(Self { id: message.metadata.id, query, bytes })
    }

    /// As it goes into a datagram.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As it goes over a connection: after its length (RFC 1035, section 4.2.2).
    pub(super) fn bytes_for_tcp(&self) -> Vec<u8> {
        // A question has 271 bytes at most.
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes(), self.bytes.as_slice()].concat()
    }

    /// What is asked, for people.
    pub(super) fn words(&self) -> String {
        let name = self.query.name.to_ascii();
        format!("{} of {name} with id {}", self.query.query_type, self.id)
    }

    /// Reads what came: the answer must carry the question's id and the question itself, names in any case. A
    /// server that could not read the question, or would not, may leave it out.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Message, Unfit> {
        let mut decoder = BinDecoder::new(bytes);
        let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else {
            return Err(Unfit::Stray("what came is no DNS message: does another service listen there?"));
        };
        if metadata.message_type != MessageType::Response {
            return Err(Unfit::Stray("what came is a question, not an answer: no DNS server listens there"));
        }
        if metadata.id != self.id {
            return Err(Unfit::Stray("what came is no answer to this question: it has another id"));
        }
        let broken = |error: String| Unfit::Broken(line(error.as_bytes(), ERROR_SHOWN));
        let left_out = counts.queries == 0 && metadata.response_code != ResponseCode::NoError;
        if !left_out {
            let queries = Message::read_queries(&mut decoder, counts.queries.into());
            let queries = queries.map_err(|error| broken(error.to_string()))?;
            if queries != [self.query.clone()] {
                return Err(Unfit::Stray("what came is the answer to another question"));
            }
        }
        if metadata.truncation {
            return Err(Unfit::CutShort);
        }
        Message::from_vec(bytes).map_err(|error| broken(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question() -> Question {
        Question::new(&Dns {
            query: "www.Example.com".to_owned(),
            record: "A".to_owned(),
            rcodes: vec!["NOERROR".to_owned()],
            answer: None,
        })
        .unwrap()
    }

    /// The question with the bit set that makes it an answer.
    fn answer(question: &Question) -> Vec<u8> {
        let mut bytes = question.bytes().to_vec();
        bytes[2] |= 0x80;
        bytes
    }

    #[test]
    fn a_question_is_sent_as_rfc_1035_says() {
        let question = question();
        let [high, low] = question.id.to_be_bytes();
        let head = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(question.bytes(), [&head[..], b"\x03www\x07Example\x03com\0\0\x01\0\x01"].concat());
        assert_eq!(question.bytes_for_tcp()[..2], [0, 33]);
    }

    #[test]
    fn an_answer_echoes_id_and_question() {
        let question = question();
        let good = answer(&question);
        assert!(question.read(&good).is_ok());
        let mut lower = good.clone();
        lower[12..].make_ascii_lowercase();
        assert!(lower != good && question.read(&lower).is_ok());

        let changed = |place: usize, bits: u8| {
            let mut bytes = good.clone();
            bytes[place] ^= bits;
            question.read(&bytes)
        };
        for (place, bits, what) in [
            (0, 1, "what came is no answer to this question: it has another id"),
            (2, 0x80, "what came is a question, not an answer: no DNS server listens there"),
            (14, 1, "what came is the answer to another question"),
            (30, 2, "what came is the answer to another question"),
            (32, 2, "what came is the answer to another question"),
        ] {
            assert_eq!(changed(place, bits).unwrap_err(), Unfit::Stray(what), "{place}");
        }
        assert_eq!(changed(2, 2).unwrap_err(), Unfit::CutShort);
        assert!(matches!(changed(7, 1), Err(Unfit::Broken(_))));
        assert!(matches!(question.read(&good[..11]), Err(Unfit::Stray(_))));
    }

    #[test]
    fn only_errors_may_leave_the_question_out() {
        let question = question();
        let mut bytes = answer(&question);
        bytes.truncate(12);
        bytes[5] = 0;
        assert!(matches!(question.read(&bytes), Err(Unfit::Stray(_))));
        bytes[3] |= 5;
        assert_eq!(question.read(&bytes).unwrap().metadata.response_code, ResponseCode::Refused);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_does_harm(
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            counted in any::<bool>(),
        ) {
            let question = question();
            let mut bytes = answer(&question);
            bytes.extend(noise);
            if counted {
                bytes[7] = 3;
            }
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(message) = question.read(&bytes) {
                super::super::answer::words(&message);
            }
        }
    }
}

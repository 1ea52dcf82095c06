use crate::kind::Dns;
use crate::probe::sample::server::{BOTH, V4, closed, listener, reply, reply_by};
use crate::probe::sample::{attempt, dialogue, failure, target};
use crate::{Fault, Kind, Passed, Target};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, TXT};
use hickory_proto::rr::{Name, RData, Record};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

type Answers = Vec<Vec<u8>>;

/// A server that sends those datagrams for each question.
async fn server(any: &str, answers: impl Fn(Message) -> Answers + Send + 'static) -> SocketAddr {
    reply(any, move |question| answers(Message::from_vec(question).unwrap())).await
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// An answer with these records, all of the name that is asked for.
fn with(question: Message, data: Vec<RData>) -> Message {
    let name = question.queries[0].name.clone();
    let mut answer = question.into_response();
    answer.add_answers(data.into_iter().map(|data| Record::from_rdata(name.clone(), 60, data)));
    answer
}

fn coded(question: Message, code: ResponseCode) -> Vec<u8> {
    let mut answer = question.into_response();
    answer.metadata.response_code = code;
    answer.to_vec().unwrap()
}

fn ask(record: &str, answer: Option<&str>) -> Kind {
    Kind::Dns(Dns {
        query: "www.example.com".to_owned(),
        record: record.to_owned(),
        rcodes: vec!["NOERROR".to_owned()],
        answer: answer.map(str::to_owned),
    })
}

fn briefly(kind: Kind, address: SocketAddr) -> Target {
    Target { timeout: Duration::from_millis(300), ..target(kind, address) }
}

#[tokio::test]
async fn the_right_answer_passes() {
    let records = |question: Message| {
        let data = match u16::from(question.queries[0].query_type) {
            1 => vec![
                RData::CNAME(CNAME(name("Host.example.com."))),
                RData::A(A::new(10, 0, 0, 7)),
                RData::A(A::new(10, 0, 0, 8)),
            ],
            28 => vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))],
            15 => vec![RData::MX(MX::new(10, name("Mail.Example.com.")))],
            16 => vec![RData::TXT(TXT::new(vec!["\"v=spf1\" ".to_owned(), "-all".to_owned()]))],
            _ => vec![],
        };
        vec![with(question, data).to_vec().unwrap()]
    };
    for any in BOTH {
        let address = server(any, records).await;
        for (record, answer) in [
            ("A", Some("10.0.0.8")),
            ("aaaa", Some("2001:DB8::0:1")),
            ("MX", Some("10 mail.example.com")),
            ("TXT", Some(r#""\"v=spf1\" " "-all""#)),
            ("A", None),
            ("HTTPS", None),
        ] {
            assert_eq!(
                attempt(&target(ask(record, answer), address)).await,
                Ok(Passed::default()),
                "{record}"
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_answer_is_shown() {
    let address = server(V4, |question| {
        let data = match u16::from(question.queries[0].query_type) {
            1 => (1..=6).map(|number| RData::A(A::new(10, 0, 0, number))).collect(),
            5 => vec![],
            _ => vec![RData::CNAME(CNAME(name("host.example.com.")))],
        };
        let mut answer = with(question, data);
        if answer.queries[0].query_type.is_cname() {
            answer.add_authority(Record::from_rdata(name("com."), 60, RData::NS(NS(name("ns.example.")))));
        }
        vec![answer.to_vec().unwrap()]
    })
    .await;
    for (record, answer, reason) in [
        (
            "A",
            "10.0.0.9",
            "www.example.com has A 10.0.0.1, A 10.0.0.2, A 10.0.0.3, A 10.0.0.4, and 2 more, not 10.0.0.9",
        ),
        ("AAAA", "2001:db8::1", "www.example.com has no AAAA, only CNAME host.example.com"),
        (
            "CNAME",
            "host.example.com",
            "it refers to other servers for www.example.com, as it does not serve that zone",
        ),
    ] {
        assert_eq!(
            failure(&target(ask(record, Some(answer)), address)).await,
            format!("{address} gave a wrong answer: {reason}")
        );
    }
    let empty = server(V4, |question| vec![with(question, vec![]).to_vec().unwrap()]).await;
    assert_eq!(
        failure(&target(ask("A", Some("10.0.0.9")), empty)).await,
        format!("{empty} gave a wrong answer: www.example.com has no A, and nothing else came")
    );
}

#[tokio::test]
async fn a_response_code_that_is_not_wanted_is_explained() {
    for (code, reason) in [
        (ResponseCode::FormErr, "FORMERR: it could not read the question"),
        (
            ResponseCode::ServFail,
            "SERVFAIL: it could not find the answer: a zone did not load, or the servers that it asks do not answer",
        ),
        (ResponseCode::NXDomain, "NXDOMAIN: to its knowledge there is no name www.example.com"),
        (ResponseCode::NotImp, "NOTIMP: it does not answer questions of this kind"),
        (
            ResponseCode::Refused,
            "REFUSED: it does not answer this director's address, or knows nothing of the zone of www.example.com \
             and asks no others",
        ),
        (ResponseCode::NotAuth, "NOTAUTH: it does not serve the zone of www.example.com"),
        (ResponseCode::Unknown(15), "code 15: NOERROR was to come"),
    ] {
        let address = server(V4, move |question| vec![coded(question, code)]).await;
        let failure = attempt(&target(ask("A", None), address)).await.unwrap_err();
        assert_eq!(failure.fault, Fault::Answer);
        assert_eq!(failure.to_string(), format!("{address} answered {reason}"));
    }
}

#[tokio::test]
async fn other_codes_may_be_the_good_ones() {
    let kind = |rcodes: &[&str]| {
        Kind::Dns(Dns {
            query: ".".to_owned(),
            record: "SOA".to_owned(),
            rcodes: rcodes.iter().map(|&code| code.to_owned()).collect(),
            answer: None,
        })
    };
    let address = server(V4, |question| vec![coded(question, ResponseCode::Refused)]).await;
    attempt(&target(kind(&["NOERROR", "refused"]), address)).await.unwrap();
    let address = server(V4, |question| vec![coded(question, ResponseCode::NoError)]).await;
    assert_eq!(
        failure(&target(kind(&["NXDOMAIN", "REFUSED"]), address)).await,
        format!("{address} answered NOERROR: NXDOMAIN or REFUSED was to come")
    );
}

#[tokio::test]
async fn what_is_no_answer_to_the_question_is_set_aside() {
    let address = server(V4, |question| {
        let mut late = question.clone().into_response();
        late.metadata.id = late.metadata.id.wrapping_add(1);
        let mut other = question.clone().into_response();
        other.queries[0].name = name("other.example.com.");
        let good = with(question.clone(), vec![RData::A(A::new(10, 0, 0, 7))]);
        let messages = [question, late, other, good].map(|message| message.to_vec().unwrap());
        [vec![b"noise".to_vec(), vec![]], messages.to_vec()].concat()
    })
    .await;
    attempt(&target(ask("A", Some("10.0.0.7")), address)).await.unwrap();
}

#[tokio::test]
async fn a_timeout_tells_that_something_else_came() {
    let silent = server(V4, |_| vec![]).await;
    let echo = server(V4, |question| vec![question.to_vec().unwrap()]).await;
    let noise = server(V4, |_| vec![b"hello".to_vec(); 100]).await;
    for (address, why) in [
        (silent, "it is off or overloaded, or a firewall drops packets"),
        (echo, "what came is a question, not an answer: no DNS server listens there"),
        (noise, "what came is no DNS message: does another service listen there?"),
    ] {
        let failure = attempt(&briefly(ask("A", None), address)).await.unwrap_err();
        assert_eq!(failure.fault, Fault::TimedOut);
        assert_eq!(failure.to_string(), format!("no answer from {address} within 300ms: {why}"));
    }
}

#[tokio::test]
async fn a_broken_answer_fails() {
    let address = server(V4, |question| {
        let mut bytes = with(question, vec![RData::A(A::new(10, 0, 0, 7))]).to_vec().unwrap();
        bytes.truncate(bytes.len() - 2);
        vec![bytes]
    })
    .await;
    let failure = attempt(&target(ask("A", None), address)).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Protocol);
    assert!(
        failure.reason.starts_with(&format!("{address} answered with a broken DNS message: ")),
        "{failure}"
    );
}

#[tokio::test]
async fn a_closed_port_refuses() {
    for any in BOTH {
        let address = closed(any).await;
        assert_eq!(
            failure(&target(ask("A", None), address)).await,
            format!("refused: nothing listens on UDP {address}")
        );
    }
}

/// A port on which every answer by UDP is cut short, and its listener by TCP.
async fn cuts_short(any: &str) -> (TcpListener, SocketAddr) {
    loop {
        let (listener, address) = listener(any).await;
        let Ok(socket) = UdpSocket::bind(address).await else { continue };
        tokio::spawn(reply_by(socket, |question| {
            let mut answer = Message::from_vec(question).unwrap().into_response();
            answer.metadata.truncation = true;
            vec![answer.to_vec().unwrap()]
        }));
        return (listener, address);
    }
}

/// The question that comes over a connection.
async fn asked(stream: &mut TcpStream) -> Message {
    let mut bytes = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut bytes).await.unwrap();
    Message::from_vec(&bytes).unwrap()
}

fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().unwrap();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes.as_slice()].concat()
}

#[tokio::test]
async fn an_answer_that_is_cut_short_comes_by_tcp_in_any_pieces() {
    for any in BOTH {
        let (listener, address) = cuts_short(any).await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let question = asked(&mut stream).await;
            let records = (0..50).map(|number| RData::A(A::new(10, 0, 0, number))).collect();
            for byte in framed(&with(question, records)) {
                stream.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            let _ = stream.read(&mut [0]).await;
        });
        let (result, lines) = dialogue(&target(ask("A", Some("10.0.0.49")), address)).await;
        assert_eq!(result, Ok(Passed::default()));
        assert!(lines[0].starts_with("* asks by UDP: A of www.example.com. with id "), "{}", lines[0]);
        assert!(lines.contains(&"* the answer is cut short: asks again by TCP".to_owned()));
        assert_eq!(
            lines.last().unwrap(),
            "* the answer: NOERROR, A 10.0.0.0, A 10.0.0.1, A 10.0.0.2, A 10.0.0.3, and 46 more"
        );
    }
}

#[tokio::test]
async fn faults_by_tcp_are_told_apart() {
    let (listener, address) = cuts_short(V4).await;
    let kind = Arc::new(ask("A", None));
    let once = |timeout| {
        let target = Target {
            kind: Arc::clone(&kind),
            timeout: Duration::from_millis(timeout),
            ..briefly(Kind::Tcp, address)
        };
        async move { attempt(&target).await.unwrap_err().to_string() }
    };
    let (silence, _) = tokio::join!(once(300), listener.accept());
    assert_eq!(
        silence,
        format!("{address} took the connection but was silent: the answer by TCP did not come within 300ms")
    );

    let half = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let question = asked(&mut stream).await;
        stream.write_all(&framed(&with(question, vec![]))[..10]).await.unwrap();
    };
    let (closed, ()) = tokio::join!(once(20_000), half);
    assert_eq!(closed, format!("{address} closed the connection within the answer by TCP, after 10 bytes"));

    let other = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut answer = asked(&mut stream).await.into_response();
        answer.metadata.id ^= 1;
        stream.write_all(&framed(&answer)).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    };
    let (stray, ()) = tokio::join!(once(20_000), other);
    assert_eq!(
        stray,
        format!("{address} by TCP: what came is no answer to this question: it has another id")
    );

    let again = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut answer = asked(&mut stream).await.into_response();
        answer.metadata.truncation = true;
        stream.write_all(&framed(&answer)).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    };
    let (cut, ()) = tokio::join!(once(20_000), again);
    assert_eq!(cut, format!("{address} cut its answer short by TCP too, which no server should do"));

    drop(listener);
    assert_eq!(
        once(20_000).await,
        format!(
            "its answer is too long for UDP, and by TCP there is none: connection refused: nothing listens on {address}"
        )
    );
}

//! A DNS server answers a question.
//!
//! By UDP, and once more by TCP if the answer does not fit, as any client of the server would. Datagrams that are no
//! answer to the question are set aside, as they may be late answers to others.

mod answer;
mod question;

use super::connect::{Ending, Opening, connect};
use super::datagram::Datagrams;
use super::tap::Tap;
use super::trace::Trace;
use crate::kind::Dns;
use crate::{Failure, Fault, Passed, Target};
use hickory_proto::op::Message;
use question::{Question, Unfit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Datagrams are read up to so many bytes: without EDNS none has more than 512 (RFC 1035, section 4.2.1).
const DATAGRAM_LIMIT: usize = 4096;

/// Asks and looks at the answer.
///
/// # Errors
/// There is no answer, or not the one that was to come.
pub(crate) async fn probe(target: &Target, dns: &Dns, trace: &Trace) -> Result<Passed, Failure> {
    let question = Question::new(dns).map_err(|reason| Failure::new(Fault::Local, reason))?;
    trace.note(|| format!("asks by UDP: {}", question.words()));
    let message = match by_udp(target, &question, trace).await? {
        Some(message) => message,
        None => {
            trace.note(|| "the answer is cut short: asks again by TCP".to_owned());
            by_tcp(target, &question, trace).await?
        }
    };
    trace.note(|| format!("the answer: {}", answer::words(&message)));
    answer::judge(&message, dns, target.address)?;
    Ok(Passed::default())
}

/// The answer; `None` if it is cut short.
async fn by_udp(target: &Target, question: &Question, trace: &Trace) -> Result<Option<Message>, Failure> {
    let socket = Datagrams::open(target, trace)?;
    socket.send(question.bytes()).await?;
    let mut buffer = vec![0; DATAGRAM_LIMIT];
    loop {
        match question.read(socket.receive(&mut buffer).await?) {
            Ok(message) => return Ok(Some(message)),
            Err(Unfit::CutShort) => return Ok(None),
            Err(Unfit::Stray(what)) => trace.explains_silence(what),
            Err(Unfit::Broken(error)) => return Err(broken(target, &error)),
        }
    }
}

async fn by_tcp(target: &Target, question: &Question, trace: &Trace) -> Result<Message, Failure> {
    let address = target.address;
    trace.explains_silence(
        "by UDP it answered that the answer is too long for that, but by TCP it cannot be reached: a firewall must \
         let both through",
    );
    let connection =
        connect(address, target.origin, Opening::Probe, Ending::Reset).await.map_err(|failure| {
            let reason = format!("its answer is too long for UDP, and by TCP there is none: {failure}");
            Failure::new(failure.fault, reason)
        })?;
    let mut stream = Tap::new(connection, trace);
    trace.awaits("the answer by TCP");
    let broke = |error: std::io::Error| trace.broken(address, &error);
    stream.write_all(&question.bytes_for_tcp()).await.map_err(broke)?;
    let length = stream.read_u16().await.map_err(broke)?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.map_err(broke)?;
    question.read(&bytes).map_err(|unfit| match unfit {
        Unfit::CutShort => {
            let reason = format!("{address} cut its answer short by TCP too, which no server should do");
            Failure::new(Fault::Protocol, reason)
        }
        Unfit::Stray(what) => Failure::new(Fault::Protocol, format!("{address} by TCP: {what}")),
        Unfit::Broken(error) => broken(target, &error),
    })
}

fn broken(target: &Target, error: &str) -> Failure {
    let reason = format!("{} answered with a broken DNS message: {error}", target.address);
    Failure::new(Fault::Protocol, reason)
}

#[cfg(test)]
mod tests;

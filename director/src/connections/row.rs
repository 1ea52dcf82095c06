//! A connection as operators see it.

use director_nft::netlink::Flow;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A connection to a VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection<'a> {
    /// `tcp`, `udp`, or the protocol's number.
    pub protocol: Cow<'a, str>,
    /// Where it stands.
    pub state: State,
    /// Time until the kernel forgets it if no packet comes; `None` while the kernel does not say.
    pub expires_seconds: Option<u64>,
    /// Who called.
    pub client: SocketAddr,
    /// Who was called.
    pub vip: SocketAddr,
    /// The real server's end.
    pub destination: SocketAddr,
    /// The service, or `management/` and the name of the management address; `None` if nothing has that mark.
    pub service: Option<Cow<'a, str>>,
    /// The real server; `None` if nothing has that mark.
    pub server: Option<Cow<'a, str>>,
    /// The ct mark.
    pub mark: u32,
}

impl<'a> Connection<'a> {
    /// The connection behind `flow`; `names` are its service's and its server's.
    #[must_use]
    pub fn new(flow: &Flow, names: Option<(&'a str, &'a str)>) -> Self {
        let (client, vip) = (flow.original.source, flow.original.destination);
        Self {
            protocol: match flow.protocol {
                TCP => "tcp".into(),
                UDP => "udp".into(),
                other => other.to_string().into(),
            },
            state: flow.into(),
            expires_seconds: flow.timeout.map(|timeout| timeout.as_secs()),
            client: SocketAddr::new(client, flow.original.source_port),
            vip: SocketAddr::new(vip, flow.original.destination_port),
            destination: SocketAddr::new(flow.reply.source, flow.reply.source_port),
            service: names.map(|(service, _)| service.into()),
            server: names.map(|(_, server)| server.into()),
            mark: flow.mark,
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where a connection stands: conntrack's states of TCP, and one for each protocol that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum State {
    /// TCP, nothing seen yet.
    None,
    /// The client has called.
    SynSent,
    /// The server has answered.
    SynRecv,
    /// Both have said hello.
    Established,
    /// One side has said good-bye.
    FinWait,
    /// The other has heard it.
    CloseWait,
    /// Both have said good-bye.
    LastAck,
    /// Both have heard it; kept for stragglers.
    TimeWait,
    /// Reset.
    Close,
    /// Both have called at the same time.
    SynSent2,
    /// UDP.
    Udp,
    /// Another protocol.
    Other,
}

impl State {
    /// By the kernel's number, `enum tcp_conntrack`; those of other protocols behind them.
    const NAMES: [(Self, &'static str); 12] = [
        (Self::None, "none"),
        (Self::SynSent, "syn_sent"),
        (Self::SynRecv, "syn_recv"),
        (Self::Established, "established"),
        (Self::FinWait, "fin_wait"),
        (Self::CloseWait, "close_wait"),
        (Self::LastAck, "last_ack"),
        (Self::TimeWait, "time_wait"),
        (Self::Close, "close"),
        (Self::SynSent2, "syn_sent2"),
        (Self::Udp, "udp"),
        (Self::Other, "other"),
    ];

    /// Every state's name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(_, name)| *name)
    }

    /// Its name: conntrack's in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }
}

impl From<&Flow> for State {
    fn from(flow: &Flow) -> Self {
        match (flow.protocol, flow.tcp_state) {
            (TCP, Some(number @ 0..10)) => {
                Self::NAMES.get(usize::from(number)).map_or(Self::None, |(state, _)| *state)
            }
            (TCP, _) => Self::None,
            (UDP, _) => Self::Udp,
            _ => Self::Other,
        }
    }
}

/// A word is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a connection")]
pub struct ParseStateError;

impl FromStr for State {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(state, _)| *state).ok_or(ParseStateError)
    }
}

impl From<State> for &'static str {
    fn from(state: State) -> Self {
        state.name()
    }
}

impl TryFrom<String> for State {
    type Error = ParseStateError;

    fn try_from(text: String) -> Result<Self, ParseStateError> {
        text.parse()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

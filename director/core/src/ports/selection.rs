//! Ports as an operator names them.

use super::{intersect, subtract};
use crate::model::{PortRange, Protocol, Service};
use std::fmt;
use std::str::FromStr;

/// A port or a range of ports: `80`, `tcp/80`, `1000-1010`, `udp/1000-1010`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSelection {
    /// `None`: every protocol that the service has there.
    protocol: Option<Protocol>,
    first: u16,
    last: u16,
}

/// A text names no ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no port")]
pub struct ParsePortsError(String);

impl ParsePortsError {
    /// How ports are written.
    pub const HINT: &str = "write 80, tcp/80, udp/53 or 1000-1010; ports are 1 to 65535";
}

impl PortSelection {
    /// The ports of the service that are meant.
    ///
    /// # Errors
    /// The first of them that the service does not have.
    pub fn of(self, service: &Service) -> Result<Vec<PortRange>, Self> {
        let Self { protocol, first, last } = self;
        let missing = match protocol {
            Some(protocol) => subtract(&[PortRange { protocol, first, last }], &service.ports),
            None => {
                let mut without_tcp =
                    subtract(&[PortRange { protocol: Protocol::Tcp, first, last }], &service.ports);
                without_tcp.iter_mut().for_each(|it| it.protocol = Protocol::Udp);
                subtract(&without_tcp, &service.ports)
            }
        };
        if let Some(PortRange { first, last, .. }) = missing.first().copied() {
            return Err(Self { protocol, first, last });
        }
        let protocols =
            [Protocol::Tcp, Protocol::Udp].into_iter().filter(|it| protocol.is_none_or(|only| *it == only));
        let meant: Vec<PortRange> = protocols.map(|protocol| PortRange { protocol, first, last }).collect();
        Ok(intersect(&service.ports, &meant))
    }
}

impl FromStr for PortSelection {
    type Err = ParsePortsError;

    fn from_str(text: &str) -> Result<Self, ParsePortsError> {
        let wrong = || ParsePortsError(text.to_owned());
        let (protocol, ports) = match text.split_once('/') {
            Some(("tcp", ports)) => (Some(Protocol::Tcp), ports),
            Some(("udp", ports)) => (Some(Protocol::Udp), ports),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { protocol, first, last }),
            _ => Err(wrong()),
        }
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

impl fmt::Display for PortSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{}/", protocol.name())?;
        }
        write!(f, "{}", self.first)?;
        if self.first < self.last { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::tests::service;

    fn of(text: &str) -> Result<String, String> {
        let selection: PortSelection = text.parse().map_err(|error: ParsePortsError| error.to_string())?;
        let ranges = selection.of(&service()).map_err(|missing| format!("missing {missing}"))?;
        Ok(ranges.iter().map(PortRange::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn without_a_protocol_every_one_is_meant_that_the_service_has() {
        for (text, meant) in [
            ("80", "tcp port 80"),
            ("tcp/80", "tcp port 80"),
            ("53", "tcp port 53, udp port 53"),
            ("udp/53", "udp port 53"),
            ("1000-1010", "tcp ports 1000-1005, udp ports 1003-1010"),
            ("1004", "tcp port 1004, udp port 1004"),
            ("udp/1004-1006", "udp ports 1004-1006"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn ports_of_others_are_named() {
        for (text, missing) in [
            ("81", "81"),
            ("udp/80", "udp/80"),
            ("1000-1012", "1011-1012"),
            ("tcp/1004-1007", "tcp/1006-1007"),
        ] {
            assert_eq!(of(text), Err(format!("missing {missing}")), "{text}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused_and_what_is_one_reads_back() {
        for text in [
            "", "0", "65536", "+80", "80-", "-80", "90-80", "80-80-80", "sctp/80", "tcp/", "/80", "http",
            " 80",
        ] {
            assert!(text.parse::<PortSelection>().is_err(), "{text:?}");
        }
        for text in ["1", "65535", "tcp/80", "udp/1-65535"] {
            assert_eq!(text.parse::<PortSelection>().unwrap().to_string(), text);
        }
        assert_eq!("080-80".parse::<PortSelection>().unwrap().to_string(), "80");
    }
}

//! `director explain`: which server a new connection would get, and why.

use super::Failure;
use super::output::Printer;
use crate::client;
use crate::table::Columns;
use director_core::explain::{Answer, Destination, Explanation, Question};
use director_core::model::Protocol;
use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

/// A client's address, with its port or without.
pub(super) type Client = (IpAddr, Option<u16>);

/// `198.51.100.7`, `198.51.100.7:4000`, `2001:db8::7`, `[2001:db8::7]:4000`
pub(super) fn client(text: &str) -> Result<Client, String> {
    let address = text.parse::<IpAddr>().map(|address| (address, None));
    let with_port = || text.parse::<SocketAddr>().map(|it| (it.ip(), Some(it.port())));
    address.or_else(|_| with_port()).map_err(|_| "write it as 198.51.100.7 or [2001:db8::7]:4000".to_owned())
}

/// `192.168.1.35:443`, `[fd00:1::35]:443`
pub(super) fn called(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write it as 192.168.1.35:443 or [fd00:1::35]:443".to_owned())
}

pub(super) async fn explain(
    client: &client::Client,
    printer: Printer,
    (from, client_port): Client,
    called: SocketAddr,
    udp: bool,
) -> Result<(), Failure> {
    let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
    let (address, port) = (called.ip(), called.port());
    let question = Question { client: from, client_port, address, port, protocol };
    let explanation = client.explain(&question).await?;
    printer.print(&explanation, &Text(&question, &explanation))
}

/// An explanation for people.
struct Text<'a>(&'a Question, &'a Explanation);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(question, explanation) = self;
        let called = SocketAddr::new(question.address, question.port);
        writeln!(f, "{} -> {called} {}: {}", question.client, question.protocol.name(), answer(explanation))?;
        let steps = explanation.steps.iter().map(|step| [step.about.clone(), step.text.clone()]);
        let columns = Columns::left(steps.clone());
        for step in steps {
            writeln!(f, "  {}", columns.line(&step))?;
        }
        let headings =
            ["Server", "Address", "Weight", "New clients", "Returning", "Reason"].map(str::to_owned);
        let servers = explanation.servers.iter().map(|it| {
            let weight = match it.weight == it.configured_weight {
                true => it.weight.to_string(),
                false => format!("{} ({})", it.weight, it.configured_weight),
            };
            let returning = if it.admits_returning { "yes" } else { "no" };
            let (address, new) = (it.address.to_string(), percent(it.percent));
            [it.server.clone(), address, weight, new, returning.to_owned(), it.reason.clone()]
        });
        let rows = std::iter::once(headings).chain(servers);
        let columns = Columns::left(rows.clone());
        for row in rows.filter(|_| !explanation.servers.is_empty()) {
            writeln!(f, "  {}", columns.line(&row))?;
        }
        Ok(())
    }
}

fn answer(explanation: &Explanation) -> String {
    match &explanation.answer {
        Answer::Server(destination) => place(destination),
        Answer::OneOf { destinations } => {
            let each = |it: &Destination| format!("{} {}", place(it), percent(it.percent));
            format!("one of {}", destinations.iter().map(each).collect::<Vec<_>>().join(", "))
        }
        Answer::Refused => "refused".to_owned(),
        Answer::NotHandled => "nothing to do with the director".to_owned(),
    }
}

fn place(destination: &Destination) -> String {
    format!("{} ({})", destination.server, SocketAddr::new(destination.address, destination.port))
}

fn percent(percent: f64) -> String {
    format!("{percent:.1} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_read_with_and_without_a_port() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(client("198.51.100.7"), Ok((address("198.51.100.7"), None)));
        assert_eq!(client("198.51.100.7:4000"), Ok((address("198.51.100.7"), Some(4000))));
        assert_eq!(client("2001:db8::7"), Ok((address("2001:db8::7"), None)));
        assert_eq!(client("[2001:db8::7]:4000"), Ok((address("2001:db8::7"), Some(4000))));
        assert!(client("exchange1").is_err() && called("192.168.1.35").is_err());
    }
}

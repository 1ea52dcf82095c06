//! The status as a table in the style of `ipvsadm -L -n --rate`.

use super::{Align, Sheet, address, name, summary, weight};
use crate::status::{ManagementStatus, RateStatus, ServerStatus, ServiceStatus, Status};
use crate::words::printable;
use std::fmt::{self, Display};

/// Prints what servers carry a second.
#[derive(Debug, Clone, Copy)]
pub struct RateTable<'a>(pub &'a Status);

impl Display for RateTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status) = self;
        summary::write(f, status)?;
        match status.rates_seconds {
            Some(seconds) => writeln!(f, "rates a second, over the last {seconds:.1} s")?,
            None => writeln!(f, "no rates yet: they take two readings of the counters, 5 s apart")?,
        }
        writeln!(f)?;
        let sheet = Sheet {
            alignment: ALIGNMENT,
            headings: HEADINGS,
            service: service_row,
            server: server_row,
            management: management_row,
        };
        sheet.write(f, status)
    }
}

const WIDTH: usize = 9;
type Row = [String; WIDTH];

const HEADINGS: [&str; WIDTH] =
    ["Server", "Address", "State", "Weight", "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"];

const ALIGNMENT: [Align; WIDTH] = {
    let mut alignment = [Align::Right; WIDTH];
    alignment[0] = Align::Left;
    alignment[1] = Align::Left;
    alignment[2] = Align::Left;
    alignment
};

fn service_row(service: &ServiceStatus) -> Option<Row> {
    let several = service.servers.len() > 1;
    several.then(|| row(["(all)", "-", "-", "-"], service.rates))
}

fn server_row(server: &ServerStatus) -> Row {
    row([&name(server), &address(server), server.state.name(), &weight(server)], server.rates)
}

fn management_row(management: &ManagementStatus) -> Row {
    row([&management.server, &management.address.to_string(), "-", "-"], management.rates)
}

fn row(first: [&str; 4], rates: Option<RateStatus>) -> Row {
    let [server, address, state, weight] = first.map(printable);
    let tenths = |of: fn(&RateStatus) -> f64| rates.map_or("-".to_owned(), |it| format!("{:.1}", of(&it)));
    let whole = |of: fn(&RateStatus) -> f64| rates.map_or("-".to_owned(), |it| format!("{:.0}", of(&it)));
    [
        server,
        address,
        state,
        weight,
        tenths(|it| it.connections),
        tenths(|it| it.packets_in),
        tenths(|it| it.packets_out),
        whole(|it| it.bytes_in),
        whole(|it| it.bytes_out),
    ]
}

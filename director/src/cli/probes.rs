//! `director probes`: what probes say of the servers, and the last attempts of one server's.

use super::Failure;
use super::output::Printer;
use crate::client::Client;
use crate::status::{AttemptStatus, LatenciesStatus, ProbeHistory, ProbeStatus, ServiceStatus};
use crate::table::{Align, Columns};
use crate::words::{milliseconds, printable};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

/// Which servers' probes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ProbesArgs {
    /// Of this service only
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub service: Option<String>,
    /// Of this server only, with the last attempts
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub server: Option<String>,
}

/// The probes of a server.
#[derive(Debug, Serialize)]
struct Probed<'a> {
    service: &'a str,
    server: &'a str,
    probes: &'a [ProbeStatus],
    probes_required: usize,
}

/// Shows them.
pub(super) async fn execute(client: &Client, printer: Printer, asked: ProbesArgs) -> Result<(), Failure> {
    match asked {
        ProbesArgs { service: Some(service), server: Some(server) } => {
            let probes = client.probes(&service, &server).await?;
            printer.print(&probes, &detail(&service, &server, &probes))
        }
        ProbesArgs { service: Some(service), .. } => show(printer, &[client.service(&service).await?]),
        ProbesArgs { service: None, .. } => show(printer, &client.status().await?.services),
    }
}

fn show(printer: Printer, services: &[ServiceStatus]) -> Result<(), Failure> {
    let probed =
        services.iter().flat_map(|service| service.servers.iter().map(move |server| (service, server)));
    let probed = probed.map(|(service, server)| Probed {
        service: &service.name,
        server: &server.name,
        probes: &server.probes,
        probes_required: server.probes_required,
    });
    let probed: Vec<Probed<'_>> = probed.collect();
    printer.print(&probed, &summary(&probed))
}

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] =
    ["Service/Server", "Probe", "State", "Since", "Latency", "Results", "Reason"];
const ALIGNMENT: [Align; COLUMNS] = {
    let mut alignment = [Align::Left; COLUMNS];
    alignment[4] = Align::Right;
    alignment
};

fn summary(probed: &[Probed<'_>]) -> String {
    let rows = probed.iter().flat_map(|it| it.probes.iter().map(|probe| row(it.service, it.server, probe)));
    table(ALIGNMENT, HEADINGS, rows.collect())
}

fn detail(service: &str, server: &str, probes: &[ProbeHistory]) -> String {
    let rows = probes.iter().map(|it| row(service, server, &it.probe));
    let mut text = table(ALIGNMENT, HEADINGS, rows.collect());
    for it in probes {
        let attempts = it.history.iter().rev().map(attempt).collect();
        text += &format!("\n{}, latest first{}:\n", printable(&it.probe.name), took(it.latencies));
        text += &table(
            [Align::Left, Align::Left, Align::Right, Align::Left],
            ["Time", "Result", "Latency", "Reason"],
            attempts,
        );
    }
    text
}

fn table<const N: usize>(alignment: [Align; N], headings: [&str; N], rows: Vec<[String; N]>) -> String {
    let headings = headings.map(str::to_owned);
    let columns = Columns::new(alignment, std::iter::once(headings.clone()).chain(rows.iter().cloned()));
    std::iter::once(&headings).chain(&rows).map(|row| columns.line(row) + "\n").collect()
}

fn row(service: &str, server: &str, probe: &ProbeStatus) -> [String; COLUMNS] {
    let words =
        [probe.state.name(), if probe.slow { "slow" } else { "" }, if probe.damped { "damped" } else { "" }];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let reason: Vec<&str> = [Some(&*probe.reason), probe.note.as_deref()].into_iter().flatten().collect();
    [
        printable(&format!("{service}/{server}")),
        printable(&probe.name),
        words.join(" "),
        probe.since.as_deref().map_or_else(|| "-".to_owned(), printable),
        probe.latency_micros.map_or_else(|| "-".to_owned(), milliseconds),
        printable(&probe.results),
        printable(&reason.join("; ")),
    ]
}

fn attempt(it: &AttemptStatus) -> [String; 4] {
    let result = if it.passed { "passed" } else { it.fault.as_deref().unwrap_or("failed") };
    let reason = it.reason.as_deref().unwrap_or_default();
    [printable(&it.at), printable(result), milliseconds(it.latency_micros), printable(reason)]
}

fn took(latencies: Option<LatenciesStatus>) -> String {
    latencies.map_or_else(String::new, |it| {
        let [least, mean, greatest] = [it.least_micros, it.mean_micros, it.greatest_micros].map(milliseconds);
        format!("; passing takes {least} to {greatest}, {mean} on average")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::status::ProbeState;

    #[test]
    fn probes_read_at_a_glance() {
        let mut probes = vec![sample::probe_history().probe];
        let down = ProbeStatus {
            name: "smtp".into(),
            state: ProbeState::Down,
            reason: "421 busy\u{1b}[2J".into(),
            note: None,
            damped: true,
            since: None,
            latency_micros: None,
            results: "xx".into(),
            ..probes[0].clone()
        };
        (probes[0].slow, probes[0].latency_micros) = (true, Some(1_234_567));
        probes.push(down);
        let probed = Probed { service: "exchange", server: "exchange1", probes: &probes, probes_required: 2 };
        let expected = "\
Service/Server      Probe  State        Since                     Latency  Results               Reason
exchange/exchange1  rdp    up slow      2026-01-31T12:00:00Z  1234.567 ms  ..............x.....  passed; the certificate ends in 5 days
exchange/exchange1  smtp   down damped  -                               -  xx                    421 busy\\u{1b}[2J
";
        assert_eq!(summary(&[probed]), expected);
        assert_eq!(summary(&[]), "Service/Server  Probe  State  Since  Latency  Results  Reason\n");
    }

    #[test]
    fn attempts_of_a_server_follow() {
        let text = detail("exchange", "exchange1", &[sample::probe_history()]);
        let expected = "
rdp, latest first; passing takes 1.200 ms to 1.500 ms, 1.400 ms on average:
Time                      Result    Latency  Reason
2026-01-31T12:34:56.789Z  passed   1.500 ms  the certificate ends in 5 days
2026-01-31T12:34:54.789Z  refused  0.210 ms  connection refused
";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.starts_with("Service/Server      Probe  State"), "{text}");
    }
}

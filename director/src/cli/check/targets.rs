//! Everything that a file probes, tried once from here.

use crate::configuration::Configuration;
use crate::table::Columns;
use crate::targets::{Role, target, target_id, targets_of};
use crate::trial::Tried;
use crate::words::printable;
use director_core::model::{Model, Node, Tracked};
use futures_util::{StreamExt, stream};
use health::Target;
use health::probe::Resources;
use health::probe::trace::Trace;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// Targets that are tried at once.
const AT_ONCE: usize = 64;

/// What came of it, in the order of the file's services, servers and probes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Targets(Vec<Row>);

/// What came of one target.
#[derive(Debug, Serialize)]
struct Row {
    /// Who is probed there, as `exchange/exchange1`; empty: `redundancy` tracks it.
    servers: Vec<String>,
    #[serde(flatten)]
    tried: Tried,
}

/// A target, and the servers that it is probed for.
struct Wanted {
    probe: String,
    target: Target,
    servers: Vec<String>,
}

/// Targets as text; all of them, or those that fail.
pub(super) struct Text<'a> {
    pub(super) targets: &'a Targets,
    pub(super) file: &'a str,
    pub(super) all: bool,
}

impl Targets {
    /// Tries every distinct target of a file.
    pub(super) async fn try_all(configuration: &Configuration) -> Self {
        let resources = &Resources::default();
        let attempts = wanted(&configuration.model, &configuration.node).into_iter().map(async |it| {
            let tried = Tried::now(it.probe, it.target, resources, Trace::quiet()).await;
            Row { servers: it.servers, tried }
        });
        Self(stream::iter(attempts).buffered(AT_ONCE).collect().await)
    }

    pub(super) fn all(&self) -> usize {
        self.0.len()
    }

    pub(super) fn failed(&self) -> usize {
        self.0.iter().filter(|row| !row.tried.passed).count()
    }
}

fn wanted(model: &Model, node: &Node) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    let mut places = BTreeMap::new();
    let servers =
        model.services.values().flat_map(|service| service.servers.values().map(move |it| (service, it)));
    for (service, server) in servers {
        for (probe, target) in targets_of(model, node, service, server) {
            let place = *places.entry(target_id(service, server, probe)).or_insert(all.len());
            let user = format!("{}/{}", service.name, server.name);
            match all.get_mut(place) {
                Some(known) => known.servers.push(user),
                None => all.push(Wanted { probe: probe.name.clone(), target, servers: vec![user] }),
            }
        }
    }
    all.extend(tracked(model, node));
    all
}

/// What the virtual router tracks by probes.
fn tracked(model: &Model, node: &Node) -> impl Iterator<Item = Wanted> {
    let track = model.redundancy.iter().flat_map(|redundancy| &redundancy.track);
    track.filter_map(|track| match &track.what {
        Tracked::Interface(_) => None,
        Tracked::Probe(probe, address) => {
            let target = target(node, probe, *address, Role::Active, probe.policy.start);
            Some(Wanted { probe: track.name.clone(), target, servers: Vec::new() })
        }
    })
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { targets, file, all } = self;
        let headings = ["Probe", "Target", "Servers", "Result", "Reason"].map(str::to_owned);
        let shown = targets.0.iter().filter(|row| *all || !row.tried.passed).map(cells);
        let rows: Vec<_> = std::iter::once(headings).chain(shown).collect();
        let columns = Columns::left(rows.iter().cloned());
        for row in rows.iter().filter(|_| rows.len() > 1) {
            writeln!(f, "  {}", columns.line(row))?;
        }
        match (targets.all(), targets.failed()) {
            (0, _) => writeln!(f, "{file}: nothing is probed"),
            (all, 0) => writeln!(f, "{file}: all of {all} targets pass"),
            (all, failed) => writeln!(f, "{file}: {failed} of {all} targets fail"),
        }
    }
}

fn cells(Row { servers, tried }: &Row) -> [String; 5] {
    let users = match servers.as_slice() {
        [] => "(tracked)".to_owned(),
        [first, _, rest @ ..] => format!("{first} and {} more", rest.len() + 1),
        all => all.concat(),
    };
    let words = [tried.reason.as_deref(), tried.note.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let result = if tried.passed { "passed" } else { tried.fault.as_deref().unwrap_or("failed") };
    [tried.probe.clone(), tried.target.clone(), users, result.to_owned(), words.join("; ")]
        .map(|cell| printable(&cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(servers: &[&str], reason: Option<&str>) -> Row {
        let tried = Tried {
            probe: "mail".into(),
            target: "10.0.1.1:25".into(),
            passed: reason.is_none(),
            fault: reason.map(|_| "refused".into()),
            reason: reason.map(str::to_owned),
            note: None,
            weight: None,
            latency_micros: 1,
            dialogue: Vec::new(),
        };
        Row { servers: servers.iter().map(|it| (*it).to_owned()).collect(), tried }
    }

    #[test]
    fn failures_are_listed_and_the_rest_on_request() {
        let targets = Targets(vec![
            row(&["exchange/exchange1", "smtp/exchange1", "pop/exchange1"], None),
            row(&["exchange/exchange2"], Some("connection refused\u{1b}")),
            row(&[], None),
        ]);
        let text = |all| Text { targets: &targets, file: "d.yaml", all }.to_string();
        assert_eq!(
            text(false),
            "  Probe  Target       Servers             Result   Reason
  mail   10.0.1.1:25  exchange/exchange2  refused  connection refused\\u{1b}
d.yaml: 1 of 3 targets fail
"
        );
        assert_eq!(
            text(true),
            "  Probe  Target       Servers                        Result   Reason
  mail   10.0.1.1:25  exchange/exchange1 and 2 more  passed
  mail   10.0.1.1:25  exchange/exchange2             refused  connection refused\\u{1b}
  mail   10.0.1.1:25  (tracked)                      passed
d.yaml: 1 of 3 targets fail
"
        );
        let none = Targets(Vec::new());
        let text = Text { targets: &none, file: "d.yaml", all: false }.to_string();
        assert_eq!(text, "d.yaml: nothing is probed\n");
    }

    #[test]
    fn every_target_is_wanted_once() {
        let text = include_str!("../../../../deploy/examples/exchange.yaml");
        let track = "track: [eth2, {ping: 192.168.1.1}, {script: [/bin/true]}]";
        let text = text.replace("vrid: 51", &format!("{track}\n  vrid: 51"));
        let model = director_core::config::load(&text, "exchange.yaml").unwrap();
        let wanted = wanted(&model, &model.nodes["lb1"]);
        let users: Vec<_> =
            wanted.iter().map(|it| format!("{} {}", it.probe, it.servers.join(" "))).collect();
        assert_eq!(
            users,
            ["rdp exchange/exchange1", "rdp exchange/exchange2", "ping 192.168.1.1 ", "script true "]
        );
    }
}

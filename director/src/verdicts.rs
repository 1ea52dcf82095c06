//! What verdicts mean for the servers that were probed.

#[cfg(test)]
mod tests;

use crate::targets::{VerdictMap, target_id};
use crate::words::some_of;
use director_core::availability::{Advice, Asked, Health};
use director_core::model::{Model, ProbeSpec, RealServer, Service, Weight};
use health::{Start, State, TargetId, Verdict};
use std::cmp::Ordering;
use std::sync::Arc;

/// How a server stands with one of its probes.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The probe's name.
    pub name: &'a str,
    /// It passes, fails, or nobody knows.
    pub state: State,
    /// Why, in words.
    pub reason: &'a str,
    /// What came of probing; `None`: nothing yet.
    pub verdict: Option<&'a Verdict>,
    /// The probe; `None`: there is none of that name, so that nobody can pass it.
    pub probe: Option<&'a ProbeSpec>,
}

/// How a server stands with each of its probes. One without a verdict is what its probe says that it is at the start;
/// one that cannot be probed fails.
pub fn standings<'a>(
    model: &'a Model,
    service: &'a Service,
    server: &'a RealServer,
    verdicts: &'a VerdictMap,
) -> impl Iterator<Item = Standing<'a>> {
    server.checks.probes.iter().map(move |name| {
        let probe = model.probes.get(name);
        let found = probe.ok_or("there is no such probe").and_then(|probe| {
            let id = target_id(service, server, probe).ok_or("the server has no address or port to probe")?;
            Ok((probe.policy.start, verdicts.get(&id).map(Arc::as_ref)))
        });
        let (state, reason, verdict) = match found {
            Ok((_, Some(verdict))) => (verdict.state, &*verdict.reason, Some(verdict)),
            Ok((start, None)) => (at_start(start), "not probed yet", None),
            Err(reason) => (State::Down, reason, None),
        };
        Standing { name, state, reason, verdict, probe }
    })
}

/// What the probes of a server say together.
#[must_use]
pub fn health_of(model: &Model, service: &Service, server: &RealServer, verdicts: &VerdictMap) -> Health {
    let all: Vec<Standing<'_>> = standings(model, service, server, verdicts).collect();
    let count = |state| all.iter().filter(|it| it.state == state).count();
    let (up, unknown) = (count(State::Up), count(State::Unknown));
    let required = server.checks.required.max(usize::from(!all.is_empty()));
    if up >= required {
        return Health::Up(advice(&all, required));
    }
    let missing = missing(&all, up, required).unwrap_or_default();
    if up + unknown >= required { Health::Unknown(missing) } else { Health::Down(missing) }
}

/// A verdict that is not as it was. One is missing if the target came or went.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What was probed.
    pub id: &'a TargetId,
    /// The verdict as it was.
    pub before: Option<&'a Verdict>,
    /// The verdict as it is.
    pub after: Option<&'a Verdict>,
}

impl Change<'_> {
    /// The state is another one.
    #[must_use]
    pub fn turns(&self) -> bool {
        self.before.map(|verdict| verdict.state) != self.after.map(|verdict| verdict.state)
    }
}

/// Changes for which servers may have to be treated or shown otherwise. Latencies and counts change with every
/// attempt, and do not matter.
#[must_use]
pub fn changes<'a>(before: &'a VerdictMap, after: &'a VerdictMap) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let (mut olds, mut news) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changes,
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        let Some((id, _)) = old.or(new) else { return changes };
        let (before, after) = (old.map(|(_, verdict)| verdict), new.map(|(_, verdict)| verdict));
        let same = matches!((before, after), (Some(before), Some(after)) if is_the_same(before, after));
        if !same {
            changes.push(Change { id, before: before.map(Arc::as_ref), after: after.map(Arc::as_ref) });
        }
    }
}

fn is_the_same(before: &Arc<Verdict>, after: &Arc<Verdict>) -> bool {
    Arc::ptr_eq(before, after) || matter(before) == matter(after)
}

/// What matters of a verdict: why it fails, or what it says beside.
fn matter(verdict: &Verdict) -> (State, Option<&str>, Option<u8>, bool) {
    if verdict.is_up() {
        (verdict.state, verdict.note.as_deref(), verdict.weight, verdict.slow)
    } else {
        (verdict.state, Some(&verdict.reason), None, false)
    }
}

fn at_start(start: Start) -> State {
    match start {
        Start::Up => State::Up,
        Start::Down => State::Down,
        Start::Unknown => State::Unknown,
    }
}

/// What probes that pass say beside, and which do not.
fn advice(all: &[Standing<'_>], required: usize) -> Advice {
    let passing: Vec<_> = all.iter().filter(|it| it.state == State::Up).collect();
    let asked = passing.iter().filter_map(|it| Some((it.verdict?.weight?, it.name)));
    let slow = passing.iter().filter(|it| it.verdict.is_some_and(|verdict| verdict.slow));
    let slow_weight = slow.filter_map(|it| it.probe).map(|probe| probe.slow_weight).min();
    Advice {
        weight: asked
            .min()
            .map(|(weight, name)| Asked { weight: Weight::new(weight.into()), by: name.to_owned() }),
        slow_weight: slow_weight.filter(|percent| *percent < 100),
        notes: passing.iter().flat_map(|it| notes(it)).chain(missing(all, passing.len(), required)).collect(),
    }
}

fn notes(it: &Standing<'_>) -> Vec<String> {
    let Some(verdict) = it.verdict else { return Vec::new() };
    let note = verdict.note.as_ref().map(|note| format!("{}: {note}", it.name));
    let slow = verdict.slow.then(|| match it.probe.and_then(|probe| probe.policy.slow) {
        Some(limit) => format!("{} takes longer than {}", it.name, humantime::format_duration(limit)),
        None => format!("{} is slow", it.name),
    });
    note.into_iter().chain(slow).collect()
}

/// The probes that do not pass, and how many must where that is not all of them. `None`: all pass.
fn missing(all: &[Standing<'_>], up: usize, required: usize) -> Option<String> {
    let missing = all.iter().filter(|it| it.state != State::Up);
    let missing: Vec<String> = missing.map(|it| format!("{}: {}", it.name, it.reason)).collect();
    let missing = (!missing.is_empty()).then(|| some_of(&missing))?;
    if required == all.len() {
        return Some(missing);
    }
    let verb = if up == 1 { "passes" } else { "pass" };
    Some(format!("{up} of {} probes {verb}, {required} must: {missing}", all.len()))
}

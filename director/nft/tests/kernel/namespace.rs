//! A network namespace for the length of a test, and what the tests do in it.

use director_nft::diff::diff;
use director_nft::ir::{
    Chain, DataType, Datum, Element, ElementData, Key, Map, MapData, MapSpec, Rule, Ruleset,
};
use director_nft::netlink::{DynamicElement, Nft};
use director_nft::observed::Observed;
use director_nft::transaction::Transaction;
use nix::sched::{CloneFlags, unshare};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::Command;
use std::thread;

/// Runs a test on a thread of its own in a new network namespace: namespaces belong to threads, and children of
/// the thread inherit it. Without the right to make one the test fails; with `ALLOW_SKIP=1` it is passed over.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let result = thread::spawn(move || match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            run("ip", &["link", "set", "lo", "up"]);
            test();
        }
        Err(error) if std::env::var("ALLOW_SKIP").is_ok_and(|value| value == "1") => {
            // Straight to the stream: the harness keeps what a passing test prints.
            let _ = writeln!(std::io::stderr(), "SKIPPED {name}: no network namespace without root ({error})");
        }
        Err(error) => panic!(
            "{name} did not run: no network namespace without root ({error})\n  hint: ALLOW_SKIP=1 lets such tests pass"
        ),
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program to its end; its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}{errors}");
    text
}

/// The table as `nft` lists it.
pub(crate) fn listed() -> String {
    run("nft", &["list", "table", "inet", "director"])
}

/// All of a ruleset, into an empty kernel.
pub(crate) fn load(ruleset: &Ruleset) -> Transaction {
    diff(&Observed::default(), ruleset)
}

/// Loads a ruleset through a new socket.
pub(crate) fn loaded(ruleset: &Ruleset) -> Nft {
    let mut nft = Nft::open().unwrap();
    nft.apply(&load(ruleset)).unwrap();
    nft
}

/// Elements of a map that packets fill.
pub(crate) fn elements(nft: &mut Nft, map: &str) -> Vec<DynamicElement> {
    let mut elements = Vec::new();
    nft.each_dynamic(map, |element| {
        elements.push(element);
        ControlFlow::Continue(())
    })
    .unwrap();
    elements
}

/// A chain of rules without comments.
pub(crate) fn chain(rules: impl IntoIterator<Item = Vec<director_nft::ir::Statement>>) -> Chain {
    let rules = rules.into_iter().map(|statements| Rule { statements, comment: None }).collect();
    Chain { base: None, rules }
}

/// A map from marks to marks.
pub(crate) fn marks(elements: impl IntoIterator<Item = (u32, u32)>) -> Map {
    Map { spec: mark_spec(), elements: elements.into_iter().map(|(key, data)| mark(key, data)).collect() }
}

/// The specification of a map from marks to marks.
pub(crate) fn mark_spec() -> MapSpec {
    MapSpec { key: vec![DataType::Mark], data: MapData::Values(vec![DataType::Mark]), ..MapSpec::default() }
}

/// An element of a map from marks to marks.
pub(crate) fn mark(key: u32, data: u32) -> (Key, Element) {
    let data = Some(ElementData::Values(vec![Datum::Mark(data)]));
    (Key::of([Datum::Mark(key)]), Element { data, comment: None })
}

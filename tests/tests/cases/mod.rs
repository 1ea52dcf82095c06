//! Many probes of one server, and what comes of each.

use lab::{Director, Lab};
use std::fmt::Write as _;

/// A probe of exchange1, and what it should say.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Its keys, from the type on.
    pub(crate) keys: String,
    /// Part of the reason why it fails; empty: it passes.
    pub(crate) reason: &'static str,
}

pub(crate) fn case(name: &'static str, keys: impl Into<String>, reason: &'static str) -> Case {
    Case { name, keys: keys.into(), reason }
}

/// A probe and a service each.
fn services(cases: &[Case]) -> String {
    let mut text = String::from("probes:\n");
    for Case { name, keys, .. } in cases {
        let _ = writeln!(text, "  {name}: {{ {keys}, interval: 200ms, rise: 1, fall: 1, start: unknown }}");
    }
    text.push_str("services:\n");
    for (Case { name, .. }, port) in cases.iter().zip(1000..) {
        let _ = writeln!(
            text,
            "  {name}: {{ vip: 192.168.1.35, ports: {{ tcp: {port} }}, probe: {name}, servers: {{ exchange1: {{}} }} }}"
        );
    }
    text
}

/// Probes exchange1, whose server runs already; the director goes on with it.
pub(crate) fn come_true(lab: &Lab, cases: &[Case]) -> lab::Result<Director> {
    let director = lab.start_director("lb1", &lab.configuration(&services(cases)))?;
    for Case { name, reason, .. } in cases {
        match *reason {
            "" => director.comes_up(name, "exchange1")?,
            reason => director.goes_down(name, "exchange1", reason)?,
        }
    }
    Ok(director)
}

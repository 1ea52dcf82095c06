//! Packets of connections that nobody knows.
//!
//! A client's reach the director's own address, and its stack answers with a RST. A real server's would be forwarded
//! as they are, with their private source: what answers them is a chain that every forwarded packet meets, so it is
//! made only when configured.

use super::parts::{base_chain, chain, commented, is_protocol, rule};
use crate::model::{Model, Node, Protocol, Side};
use director_nft::ir::{ChainKind, CtStates, Hook, Match, Reject, Ruleset, Statement, Verdict};

/// Chain that refuses them.
const STRAYS: &str = "strays";

/// The forward chain, if it is configured.
pub(super) fn refusal(ruleset: &mut Ruleset, model: &Model, node: &Node) {
    if !model.outbound.reset_invalid {
        return;
    }
    // One comparison for packets of known connections: nearly all.
    let stray = |name| {
        let statements = vec![
            Statement::Match(Match::CtState(CtStates::INVALID)),
            Statement::Match(Match::InputInterface { negate: false, name }),
            Statement::Verdict(Verdict::Goto(STRAYS.to_owned())),
        ];
        commented(statements, "a real server's packet of no connection")
    };
    let strays = model.entrances(node, Side::Private).into_iter().map(stray).collect();
    base_chain(ruleset, "forward", (ChainKind::Filter, Hook::Forward, 0), strays);
    let refuse = [
        vec![is_protocol(Protocol::Tcp), Statement::Reject(Reject::TcpReset)],
        vec![Statement::Verdict(Verdict::Drop)],
    ];
    chain(ruleset, STRAYS, refuse.into_iter().map(rule).collect());
}

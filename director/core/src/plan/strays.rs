//! Packets of connections that nobody knows.
//!
//! A client's reach the director's own address, and its stack answers with a RST. A real server's would be forwarded
//! as they are, with their private source: what answers them is a chain that every forwarded packet meets, so it is
//! made only when configured.

use super::parts::{base_chain, commented};
use crate::model::{Model, Node};
use director_nft::ir::{
    ChainKind, CtStates, Datum, Hook, Match, Reject, Ruleset, Selector, Statement, Verdict,
};

/// The forward chain, if it is configured.
pub(super) fn refusal(ruleset: &mut Ruleset, model: &Model, node: &Node) {
    if !model.outbound.reset_invalid {
        return;
    }
    let stray = [
        Statement::Match(Match::CtState(CtStates::INVALID)),
        Statement::Match(Match::InputInterface { negate: false, name: node.private.interface.clone() }),
    ];
    let tcp = Match::Value { selector: Selector::L4Proto, negate: false, value: Datum::Proto(6) };
    let reset = [Statement::Match(tcp), Statement::Reject(Reject::TcpReset)];
    let drop = Statement::Verdict(Verdict::Drop);
    let rules = vec![
        commented([&stray[..], &reset].concat(), "a real server's packet of no connection"),
        commented([&stray[..], &[drop]].concat(), "a real server's packet of no connection"),
    ];
    base_chain(ruleset, "forward", (ChainKind::Filter, Hook::Forward, 0), rules);
}

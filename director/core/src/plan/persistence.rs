//! Persistent clients: chains that services of one granularity and timeout share.

use super::names::{FamilyNames, NO_SERVER, Profile};
use super::parts::{commented, dnat, from_slot, goto, is_protocol, port_dnat, rule, saddr, set_ct_mark};
use crate::model::Protocol;
use director_nft::ir::{Expression, Rule, Selector, Statement};

/// Clients that have an entry: to their server, and the entry lives anew. Where the server may not be returned
/// to, it stands in no destination map: the look-up ends the rule and the stale entry goes.
pub(super) fn returning(names: &FamilyNames, profile: &Profile) -> Vec<Rule> {
    let known = known(names, profile);
    let renew = renew(names, profile);
    let mut rules = Vec::new();
    if profile.ports {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let statements = vec![is_protocol(protocol), known.clone(), renew.clone(), port_dnat(names)];
            rules.push(commented(statements, "returning client"));
        }
    } else {
        let deliver = dnat(names, &[Selector::CtMark], names.dests, false);
        rules.push(commented(vec![known, renew, deliver], "returning client"));
    }
    let forget = Statement::Delete {
        map: names.persist.to_owned(),
        key: client_key(profile),
        data: Some(Selector::CtMark),
    };
    rules.push(commented(vec![forget], "its server is gone"));
    rules
}

/// Clients without an entry: to the slot's server, and they get one. A full map ends the rule, and the client goes to
/// its server without; so does a slot whose server takes nobody, but that leaves an entry.
pub(super) fn sticking(names: &FamilyNames, profile: &Profile) -> Vec<Rule> {
    let stick = |dnat| vec![from_slot(), renew(names, profile), dnat];
    let deliveries: Vec<Vec<Statement>> = if profile.ports {
        let protocols = [Protocol::Tcp, Protocol::Udp];
        protocols.map(|it| [vec![is_protocol(it)], stick(port_dnat(names))].concat()).into()
    } else {
        vec![stick(dnat(names, &[Selector::CtMark], names.dests, false))]
    };
    let mut rules: Vec<Rule> =
        deliveries.into_iter().map(|it| commented(it, "client sticks to this server")).collect();
    rules.push(commented(vec![known(names, profile), goto(NO_SERVER)], "its server takes nobody"));
    let overflow = Statement::Vmap { key: vec![Selector::MetaMark], map: names.overflow.to_owned() };
    rules.push(commented(vec![overflow], "no room for an entry"));
    rules.push(rule(vec![goto(NO_SERVER)]));
    rules
}

fn client_key(profile: &Profile) -> Vec<Selector> {
    vec![saddr(profile.ipv6, profile.granularity), Selector::MetaMark]
}

fn renew(names: &FamilyNames, profile: &Profile) -> Statement {
    Statement::Update {
        map: names.persist.to_owned(),
        key: client_key(profile),
        timeout: Some(profile.timeout),
        data: Some(Selector::CtMark),
    }
}

/// Ends the rule if the client has no entry.
fn known(names: &FamilyNames, profile: &Profile) -> Statement {
    set_ct_mark(Expression::Map { key: client_key(profile), map: names.persist.to_owned() })
}

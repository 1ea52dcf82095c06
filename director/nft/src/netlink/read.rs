//! Reads the table back.

use super::attribute::{Attributes, Writer};
use super::batch::message;
use super::constants::{chain, element as list, generation, rule, set as set_attr, table};
use super::element::{self, ReadElement};
use super::socket::{INTERRUPTED, Socket};
use super::{Error, set, userdata};
use crate::ir::{BaseChain, ChainKind, Hook, Key, MapSpec, TABLE};
use crate::observed::{Observed, ObservedChain, ObservedMap};
use nftnl::nftnl_sys::libc;
use std::collections::BTreeMap;
use std::io;

/// How often reading begins anew when others change nf_tables meanwhile.
const ATTEMPTS: u32 = 30;

/// `NFT_TABLE_F_DORMANT`
const DORMANT: u32 = 1;

/// The whole table, as it was at one moment.
pub(super) fn table(socket: &mut Socket) -> Result<Observed, Error> {
    steadily(|| {
        let before = generation(socket)?;
        let observed = table_once(socket)?;
        if generation(socket)? == before { Ok(observed) } else { Err(interrupted()) }
    })
    .map_err(|error| failed("reading the table inet director", error))
}

/// Specification of a map; `None` if there is no such map, or none that the director could have made.
pub(super) fn specification(socket: &mut Socket, map: &str) -> Result<Option<MapSpec>, Error> {
    steadily(|| {
        let mut found = None;
        let mut request = message(libc::NFT_MSG_GETSET, libc::NLM_F_ACK);
        request.text(set_attr::TABLE, TABLE).text(set_attr::NAME, map);
        absent_is_none(socket.request(request, |answer| found = set::read(answer.attributes())))?;
        Ok(found.and_then(|(_, spec)| spec))
    })
    .map_err(|error| failed(&format!("reading the map {map}"), error))
}

/// The elements of a map.
pub(super) fn elements(socket: &mut Socket, map: &str, spec: &MapSpec) -> Result<Vec<ReadElement>, Error> {
    steadily(|| elements_once(socket, map, spec))
        .map_err(|error| failed(&format!("reading the elements of the map {map}"), error))
}

/// The elements of a map, as they are met while others change some.
pub(super) fn elements_in_passing(
    socket: &mut Socket,
    map: &str,
    spec: &MapSpec,
) -> Result<Vec<ReadElement>, Error> {
    let mut elements = Vec::new();
    match collect(socket, map, spec, &mut elements) {
        Err(error) if error.raw_os_error() == Some(INTERRUPTED) => Ok(elements),
        Ok(()) => Ok(elements),
        Err(error) => Err(failed(&format!("reading the elements of the map {map}"), error)),
    }
}

/// One element of a map; `None` if it is not there.
pub(super) fn element(
    socket: &mut Socket,
    map: &str,
    spec: &MapSpec,
    key: &Key,
) -> Result<Option<ReadElement>, Error> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
    let mut item = Writer::default();
    element::write_key(&mut item, spec, key)
        .map_err(invalid)
        .and_then(|()| {
            let mut found = None;
            let mut request = message(libc::NFT_MSG_GETSETELEM, libc::NLM_F_ACK);
            request.text(list::LIST_TABLE, TABLE).text(list::LIST_SET, map).nest(
                list::LIST_ELEMENTS,
                |items| {
                    items.append(item.written());
                },
            );
            absent_is_none(socket.request(request, |answer| {
                let items = answer.attributes().get(list::LIST_ELEMENTS);
                found = items.and_then(|items| element::read(spec, items.nested().into_iter().next()?));
            }))?;
            Ok(found)
        })
        .map_err(|error| failed(&format!("reading an element of the map {map}"), error))
}

fn table_once(socket: &mut Socket) -> io::Result<Observed> {
    let mut observed = Observed::default();
    let mut request = message(libc::NFT_MSG_GETTABLE, libc::NLM_F_ACK);
    request.text(table::NAME, TABLE);
    absent_is_none(socket.request(request, |answer| {
        observed.table = true;
        let flags = answer.attributes().get(table::FLAGS).and_then(|flags| flags.u32());
        observed.dormant = flags.is_some_and(|flags| flags & DORMANT != 0);
    }))?;
    if !observed.table {
        return Ok(observed);
    }
    socket.request(dump(libc::NFT_MSG_GETCHAIN), |answer| {
        observed.chains.extend(chain_of(answer.attributes()));
    })?;
    let mut request = dump(libc::NFT_MSG_GETRULE);
    request.text(rule::TABLE, TABLE);
    socket.request(request, |answer| {
        let attributes = answer.attributes();
        let Some(name) = attributes.get(rule::CHAIN).and_then(|name| name.text()) else { return };
        if let Some(chain) = observed.chains.get_mut(&name) {
            let data = attributes.get(rule::USERDATA);
            chain.rules.push(data.and_then(|data| userdata::fingerprint(data.value)));
        }
    })?;
    let mut request = dump(libc::NFT_MSG_GETSET);
    request.text(set_attr::TABLE, TABLE);
    let mut maps = BTreeMap::new();
    socket.request(request, |answer| maps.extend(set::read(answer.attributes())))?;
    for (name, spec) in maps {
        let mut elements = BTreeMap::new();
        if let Some(spec) = spec.as_ref().filter(|spec| !spec.dynamic) {
            let read = elements_once(socket, &name, spec)?;
            elements.extend(read.into_iter().map(|read| (read.key, read.element)));
        }
        observed.maps.insert(name, ObservedMap { spec, elements });
    }
    Ok(observed)
}

fn elements_once(socket: &mut Socket, map: &str, spec: &MapSpec) -> io::Result<Vec<ReadElement>> {
    let mut elements = Vec::new();
    collect(socket, map, spec, &mut elements)?;
    Ok(elements)
}

/// What is read before an error is read.
fn collect(
    socket: &mut Socket,
    map: &str,
    spec: &MapSpec,
    elements: &mut Vec<ReadElement>,
) -> io::Result<()> {
    let mut request = dump(libc::NFT_MSG_GETSETELEM);
    request.text(list::LIST_TABLE, TABLE).text(list::LIST_SET, map);
    socket.request(request, |answer| {
        let items = answer.attributes().get(list::LIST_ELEMENTS);
        elements.extend(
            items.into_iter().flat_map(|items| items.nested()).filter_map(|item| element::read(spec, item)),
        );
    })
}

fn generation(socket: &mut Socket) -> io::Result<Option<u32>> {
    let mut found = None;
    socket.request(message(libc::NFT_MSG_GETGEN, libc::NLM_F_ACK), |answer| {
        found = answer.attributes().get(generation::ID).and_then(|id| id.u32());
    })?;
    Ok(found)
}

/// A chain of our table. A base chain of a kind that the director never makes comes back without its base.
fn chain_of(attributes: Attributes<'_>) -> Option<(String, ObservedChain)> {
    if attributes.get(chain::TABLE)?.text()? != TABLE {
        return None;
    }
    let name = attributes.get(chain::NAME)?.text()?;
    Some((name, ObservedChain { base: base_of(attributes), rules: Vec::new() }))
}

fn base_of(attributes: Attributes<'_>) -> Option<BaseChain> {
    let place = attributes.get(chain::HOOK)?.nested();
    let kind = match attributes.get(chain::TYPE)?.text()?.as_str() {
        "nat" => ChainKind::Nat,
        "filter" => ChainKind::Filter,
        _ => return None,
    };
    let hook = match place.get(chain::HOOK_NUMBER)?.u32()?.cast_signed() {
        libc::NF_INET_PRE_ROUTING => Hook::Prerouting,
        libc::NF_INET_LOCAL_IN => Hook::Input,
        libc::NF_INET_FORWARD => Hook::Forward,
        libc::NF_INET_LOCAL_OUT => Hook::Output,
        libc::NF_INET_POST_ROUTING => Hook::Postrouting,
        _ => return None,
    };
    let accepts = attributes.get(chain::POLICY)?.u32()?.cast_signed() == libc::NF_ACCEPT;
    let priority = place.get(chain::HOOK_PRIORITY)?.u32()?.cast_signed();
    accepts.then_some(BaseChain { kind, hook, priority })
}

fn dump(kind: libc::c_int) -> Writer {
    message(kind, libc::NLM_F_DUMP)
}

fn absent_is_none(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// Repeats what was interrupted by a change.
fn steadily<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match read() {
            Err(error) if error.raw_os_error() == Some(INTERRUPTED) => {}
            other => return other,
        }
    }
    read()
}

fn interrupted() -> io::Error {
    io::Error::from_raw_os_error(INTERRUPTED)
}

fn failed(what: &str, error: io::Error) -> Error {
    if error.raw_os_error() == Some(INTERRUPTED) {
        Error::Busy { attempts: ATTEMPTS }
    } else {
        Error::Request { what: what.to_owned(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base(kind: &str, hook: u32, policy: u32) -> Option<BaseChain> {
        let mut out = Writer::default();
        out.text(chain::TYPE, kind).u32(chain::POLICY, policy).nest(chain::HOOK, |place| {
            place.u32(chain::HOOK_NUMBER, hook).u32(chain::HOOK_PRIORITY, (-100_i32).cast_unsigned());
        });
        base_of(Attributes(out.written()))
    }

    #[test]
    fn only_base_chains_that_we_could_have_made_are_known() {
        let ours = BaseChain { kind: ChainKind::Nat, hook: Hook::Prerouting, priority: -100 };
        assert_eq!(base("nat", 0, 1), Some(ours));
        assert_eq!(base("route", 3, 1), None);
        assert_eq!(base("nat", 9, 1), None);
        assert_eq!(base("filter", 0, 0), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            chain_of(Attributes(&bytes));
            base_of(Attributes(&bytes));
        }
    }
}

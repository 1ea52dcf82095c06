//! Marks: given, or derived from the name.

use super::entries;
use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::report::{Diagnostics, Span};
use crate::model::Mark;
use std::collections::BTreeMap;

/// The marks of services and management addresses by name.
#[derive(Default)]
pub(super) struct Marks<'a> {
    services: BTreeMap<&'a str, Mark>,
    management: BTreeMap<&'a str, Mark>,
}

impl Marks<'_> {
    pub(super) fn service(&self, name: &str) -> Option<Mark> {
        self.services.get(name).copied()
    }

    pub(super) fn management(&self, name: &str) -> Option<Mark> {
        self.management.get(name).copied()
    }
}

/// Reports marks that are given twice and derives those that are not given.
///
/// Derived ones depend on the names alone, unless two of them fall together: both directors, and every restart, come
/// to the same.
pub(super) fn assign<'a>(file: &'a raw::File, errors: &mut Diagnostics) -> Marks<'a> {
    let services = entries(file.services.as_ref()).iter().map(|entry| {
        let mark = entry.value.as_ref().and_then(|service| service.mark.as_ref());
        (Kind::Service, entry.name.as_str(), mark)
    });
    let management = entries(file.management.as_ref()).iter().map(|entry| {
        let mark = entry.value.as_ref().and_then(|management| management.mark.as_ref());
        (Kind::Management, entry.name.as_str(), mark)
    });
    let (given, absent): (Vec<_>, Vec<_>) =
        services.chain(management).partition(|(_, _, mark)| mark.is_some());

    let mut taken: BTreeMap<Mark, (String, Option<Span>)> = BTreeMap::new();
    let mut marks = Marks::default();
    for (kind, name, mark) in given {
        let Some(&Spanned { value: mark, span, .. }) = mark else { continue };
        if let Some((owner, place)) = taken.get(&mark) {
            let line = place.map(|place| format!(", in line {}", place.line)).unwrap_or_default();
            let message = format!("mark {mark} is already the mark of {owner}{line}");
            errors.error_hint(
                span,
                message,
                "give it a mark of its own, or take the key out to have one derived",
            );
        } else {
            taken.insert(mark, (kind.describe(name), Some(span)));
        }
        marks.set(kind, name, mark);
    }
    let mut absent: Vec<_> = absent.into_iter().map(|(kind, name, _)| (kind, name)).collect();
    absent.sort_unstable();
    for (kind, name) in absent {
        let start = hash(kind, name);
        let free = (0..HASHES).filter_map(|step| Mark::new(FIRST_DERIVED | ((start + step) % HASHES)));
        if let Some(mark) = free.into_iter().find(|mark| !taken.contains_key(mark)) {
            taken.insert(mark, (kind.describe(name), None));
            marks.set(kind, name, mark);
        }
    }
    marks
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Service,
    Management,
}

impl Kind {
    fn describe(self, name: &str) -> String {
        match self {
            Self::Service => format!("service {name:?}"),
            Self::Management => format!("management address {name:?}"),
        }
    }
}

impl<'a> Marks<'a> {
    fn set(&mut self, kind: Kind, name: &'a str, mark: Mark) {
        match kind {
            Kind::Service => self.services.insert(name, mark),
            Kind::Management => self.management.insert(name, mark),
        };
    }
}

/// Derived marks are this and 24 bits.
const FIRST_DERIVED: u32 = 0x0100_0000;
const HASHES: u32 = 1 << 24;

/// 24 bits of FNV-1a, folded as its authors advise. Written out because the result is part of the format: a library
/// must not change it.
fn hash(kind: Kind, name: &str) -> u32 {
    let prefix: &[u8] = match kind {
        Kind::Service => b"",
        Kind::Management => b"management/",
    };
    let hash = prefix
        .iter()
        .chain(name.as_bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash >> 24) ^ (hash & (HASHES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // FNV-1a of "foobar" is 0xbf9cf968.
        assert_eq!(hash(Kind::Service, "foobar"), 0xbf ^ 0x9c_f968);
        assert_eq!(hash(Kind::Service, "management/foobar"), hash(Kind::Management, "foobar"));
    }
}

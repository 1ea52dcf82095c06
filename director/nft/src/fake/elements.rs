//! Elements: the kernel's rules for adding and deleting them.

use super::{Fake, Reason, check_target, missing_map, types};
use crate::ir::{Datum, Element, Key, KeyPart, Map, MapSpec};
use crate::render;
use std::collections::BTreeMap;

impl Fake {
    pub(super) fn add_elements(
        &mut self,
        name: &str,
        spec: &MapSpec,
        elements: &[(Key, Element)],
    ) -> Result<(), Reason> {
        for (key, element) in elements {
            if let Some(target) = element.target() {
                check_target(&self.ruleset, target)?;
            }
            let map = map(&mut self.ruleset.maps, name, spec)?;
            types::element(&map.spec, key, element)?;
            if map.elements.contains_key(key) {
                return Err(Reason::Exists(format!("element {}", render::key(key))));
            }
            if map.spec.interval && map.elements.keys().any(|there| overlap(there, key)) {
                return Err(Reason::Exists(format!("a part of element {}", render::key(key))));
            }
            if map.spec.size.is_some_and(|size| map.elements.len() >= size as usize) {
                return Err(Reason::Full(format!("map {name}")));
            }
            self.uses.add_element(element);
            map.elements.insert(key.clone(), element.clone());
        }
        Ok(())
    }

    pub(super) fn delete_elements(&mut self, name: &str, spec: &MapSpec, keys: &[Key]) -> Result<(), Reason> {
        let map = map(&mut self.ruleset.maps, name, spec)?;
        for key in keys {
            let element = map.elements.remove(key);
            let element = element.ok_or_else(|| Reason::Missing(format!("element {}", render::key(key))))?;
            self.uses.remove_element(&element);
        }
        Ok(())
    }
}

/// The map, if it is of the kind that the operation takes it for.
fn map<'a>(maps: &'a mut BTreeMap<String, Map>, name: &str, spec: &MapSpec) -> Result<&'a mut Map, Reason> {
    let map = maps.get_mut(name).ok_or_else(|| missing_map(name))?;
    if map.spec != *spec {
        return Err(Reason::Invalid(format!("elements of another kind for map {name}")));
    }
    Ok(map)
}

/// True if a packet can match both keys.
fn overlap(left: &Key, right: &Key) -> bool {
    left.0.iter().zip(&right.0).all(|(left, right)| {
        let ((left_first, left_last), (right_first, right_last)) = (ends(*left), ends(*right));
        left_first <= right_last && right_first <= left_last
    })
}

fn ends(part: KeyPart) -> (Datum, Datum) {
    match part {
        KeyPart::Value(datum) => (datum, datum),
        KeyPart::Range(first, last) => (first, last),
    }
}

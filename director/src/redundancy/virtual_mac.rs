//! The interfaces that have the virtual router's MAC address: made before addresses are ordered onto them, and removed
//! once none is to be there.
//!
//! Whoever holds the addresses sets them up and down with these: an interface that is up talks now and then, and a
//! switch would learn that the MAC address is at a Backup.

use crate::kernel::address::picture::{Link, Picture};
use crate::kernel::address::{AddressError, Addresses, Interface};
use director_core::model::{Model, Node, Side};
use nix::net::if_::if_nametoindex;
use std::collections::BTreeMap;
use sync::Mac;

/// What an interface is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    /// The interface that it is on top of.
    pub base: String,
    /// Its address.
    pub mac: Mac,
}

/// Interfaces by name.
pub type Virtuals = BTreeMap<String, Virtual>;

/// Those that `model` wants on `node`; none without a virtual MAC address.
#[must_use]
pub fn wanted(model: &Model, node: &Node) -> Virtuals {
    let Some(redundancy) = model.redundancy.as_ref().filter(|it| it.virtual_mac) else {
        return Virtuals::new();
    };
    let of = |side: Side| {
        let base = side.of(node).interface.clone();
        (redundancy.carrier(node, side), Virtual { base, mac: redundancy.mac() })
    };
    // Where both are the same interface, so are their names.
    [Side::Public, Side::Private].map(of).into()
}

/// True if one is missing. Asks for names alone.
#[must_use]
pub fn missing(wanted: &Virtuals) -> bool {
    wanted.keys().any(|name| if_nametoindex(name.as_str()).is_err())
}

/// Makes those that are wanted and missing, or not what they are to be; says what could not be done. One that is there
/// already is taken over as it is.
pub async fn make(wanted: &Virtuals) -> Vec<String> {
    let done = async {
        let kernel = Addresses::open()?;
        let picture = kernel.picture().await?;
        let mut errors = Vec::new();
        for (name, it) in wanted {
            errors.extend(make_one(&kernel, &picture, name, it).await.err().map(|error| error.to_string()));
        }
        Ok(errors)
    };
    done.await.unwrap_or_else(|error: AddressError| vec![error.to_string()])
}

/// Removes those that some director made, but for the wanted ones; says what could not be done.
pub async fn clear(wanted: &Virtuals) -> Vec<String> {
    let done = async {
        let kernel = Addresses::open()?;
        let picture = kernel.picture().await?;
        let mut errors = Vec::new();
        for link in picture.links().filter(|link| is_ours(link) && !wanted.contains_key(&link.name)) {
            let interface = Interface { name: &link.name, index: link.index };
            errors.extend(kernel.remove_link(&interface).await.err().map(|error| error.to_string()));
        }
        Ok(errors)
    };
    done.await.unwrap_or_else(|error: AddressError| vec![error.to_string()])
}

async fn make_one(
    kernel: &Addresses,
    picture: &Picture,
    name: &str,
    it: &Virtual,
) -> Result<(), AddressError> {
    let Some(base) = picture.link(&it.base) else {
        return Err(AddressError::NoBase { interface: name.to_owned(), base: it.base.clone() });
    };
    if let Some(link) = picture.link(name) {
        if link.mac == Some(it.mac) && link.base == Some(base.index) {
            return Ok(());
        }
        if !is_ours(link) {
            return Err(AddressError::Taken { interface: name.to_owned() });
        }
        kernel.remove_link(&Interface { name, index: link.index }).await?;
    }
    kernel.add_macvlan(name, base.index, it.mac).await
}

/// A macvlan whose name and address say the same virtual router.
fn is_ours(link: &Link) -> bool {
    let vrid = link
        .name
        .strip_prefix("vrrp")
        .and_then(|rest| rest.strip_suffix("-pub").or_else(|| rest.strip_suffix("-prv"))?.parse::<u8>().ok());
    vrid.is_some_and(|vrid| link.base.is_some() && link.mac == Some([0, 0, 0x5e, 0, 1, vrid]))
}

#[cfg(test)]
mod tests;

//! Directors and links by the names that the file gives them.

use super::Router;
use director_core::model::{Node, Side};
use std::net::IpAddr;
use sync::vrrp::machine::{Link, Names};

/// Directors are called by their nodes' names, links `public (eth0)`. What the file doesn't name stays an address or
/// a number.
impl Names for Router {
    fn router(&self, address: IpAddr) -> String {
        node_of(self, address).map_or_else(|| address.to_string(), |node| node.name.clone())
    }

    fn link(&self, Link(link): Link) -> String {
        let side = self.settings.links.get(usize::from(link));
        let own = self.nodes.get(&self.node);
        side.zip(own).map_or_else(
            || link.to_string(),
            |(side, node)| format!("{} ({})", side.name(), side.of(node).interface),
        )
    }
}

/// The node that has `address` of its own.
#[must_use]
pub fn node_of(router: &Router, address: IpAddr) -> Option<&Node> {
    let has = |node: &&Node| {
        let own = [Side::Public, Side::Private].into_iter().flat_map(|side| side.of(node).addresses.iter());
        own.into_iter().any(|network| network.address() == address)
    };
    router.nodes.values().find(has)
}

#[cfg(test)]
mod tests {
    use crate::sample;
    use sync::vrrp::machine::{Event, Link, Names, Role, Why};
    use sync::vrrp::timing::Priority;

    #[test]
    fn directors_are_called_by_any_of_their_own_addresses() {
        let router = sample::router();
        for (address, name) in [
            ("192.168.1.33", "lb1"),
            ("10.0.1.34", "lb2"),
            ("192.168.1.35", "192.168.1.35"),
            ("192.168.1.3", "192.168.1.3"),
        ] {
            assert_eq!(router.router(address.parse().unwrap()), name);
        }
        assert_eq!(router.link(Link(1)), "private (eth1)");
        assert_eq!(router.link(Link(2)), "2");
    }

    #[test]
    fn events_name_them() {
        let by = "192.168.1.34".parse().unwrap();
        let why = Why::Outranked { by, priority: Priority::DEFAULT };
        let event = Event::Became(Role::Backup, why);
        assert_eq!(event.words(&sample::router()), "Backup: lb2 is Active with priority 100");
        assert_eq!(event.to_string(), "Backup: 192.168.1.34 is Active with priority 100");
        assert_eq!(Event::LinkHeard(Link(0)).words(&sample::router()), "adverts by link public (eth0) again");
    }
}

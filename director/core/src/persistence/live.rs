//! Clients with connections.

use super::{Client, Policies};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// TCP, in the IP header.
const TCP: u8 = 6;

/// `TCP_CONNTRACK_SYN_RECV` to `TCP_CONNTRACK_LAST_ACK`.
const ANSWERED: std::ops::RangeInclusive<u8> = 2..=6;

/// True if a connection holds its client's entry: a TCP connection from the server's first answer until both sides
/// have closed it, any other as long as the kernel knows it. `tcp_state` is the kernel's `enum tcp_conntrack`. What
/// was never answered may be a flood with invented sources.
#[must_use]
pub fn holds(protocol: u8, tcp_state: Option<u8>) -> bool {
    protocol != TCP || tcp_state.is_some_and(|state| ANSWERED.contains(&state))
}

/// Clients with connections that hold their entries, and where these go.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Connections by destination id: one as a rule.
    clients: BTreeMap<Client, Vec<(u32, u32)>>,
}

impl Live {
    /// Adds a connection that [`holds`], from `source` to the server with that ct mark. Nothing is kept of services
    /// without persistence, and of servers that are not configured.
    pub fn add(&mut self, policies: &Policies, source: IpAddr, ct_mark: u32) {
        let policy = policies.of(ct_mark).filter(|policy| policy.destinations.contains_key(&ct_mark));
        let Some(policy) = policy else { return };
        let servers = self.clients.entry(policy.client(source)).or_default();
        match servers.iter_mut().find(|(id, _)| *id == ct_mark) {
            Some((_, connections)) => *connections = connections.saturating_add(1),
            None => servers.push((ct_mark, 1)),
        }
    }

    /// True if a connection of the client to that destination lives.
    #[must_use]
    pub fn has(&self, client: &Client, destination: u32) -> bool {
        self.clients.get(client).is_some_and(|servers| servers.iter().any(|(id, _)| *id == destination))
    }

    /// True if a connection of the client lives.
    #[must_use]
    pub fn knows(&self, client: &Client) -> bool {
        self.clients.contains_key(client)
    }

    /// Every client, and where an entry of it should lead: of the destinations that may be returned to, the one with
    /// most connections, and of several the first.
    pub(super) fn clients<'a>(
        &'a self,
        policies: &'a Policies,
    ) -> impl Iterator<Item = (&'a Client, u32)> + 'a {
        self.clients.iter().filter_map(|(client, servers)| {
            let admitted =
                servers.iter().filter(|(id, _)| policies.of(*id).is_some_and(|policy| policy.admits(*id)));
            let (id, _) = admitted.max_by_key(|(id, connections)| (*connections, std::cmp::Reverse(*id)))?;
            Some((client, *id))
        })
    }
}

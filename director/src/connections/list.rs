//! Listing connections, piece by piece.

use super::{Conditions, Connection, Pieces, Selection};
use director_nft::netlink::Error;
use std::collections::HashMap;
use std::sync::Arc;

/// Connections one after the other. Reading blocks while the kernel works.
pub struct Lister {
    pieces: Box<dyn Pieces>,
    conditions: Conditions,
    names: HashMap<u32, (Arc<str>, Box<str>)>,
    left: usize,
}

impl Selection {
    /// Begins to list them, at most `limit`.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn list(self, limit: Option<usize>) -> Result<Lister, Error> {
        let mut names = HashMap::new();
        let mut last: Arc<str> = Arc::from("");
        for (service, server, id) in self.view.registry.destinations() {
            if id.get() & self.filter.mask == self.filter.mark {
                if *last != *service {
                    last = service.into();
                }
                names.insert(id.get(), (Arc::clone(&last), server.into()));
            }
        }
        let pieces = self.view.table.list(&self.filter)?;
        Ok(Lister { pieces, conditions: self.conditions, names, left: limit.unwrap_or(usize::MAX) })
    }
}

impl Lister {
    /// Hands over the next connections: a hundred or two at most, and perhaps none; false once there are no more.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn read(&mut self, mut each: impl FnMut(&Connection<'_>)) -> Result<bool, Error> {
        let Self { pieces, conditions, names, left } = self;
        let more = pieces.read(&mut |flow| {
            if *left > 0 && conditions.hold(flow) {
                *left -= 1;
                let names = names.get(&flow.mark);
                each(&Connection::new(flow, names.map(|(service, server)| (&**service, &**server))));
            }
        })?;
        Ok(more && *left > 0)
    }
}

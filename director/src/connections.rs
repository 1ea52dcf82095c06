//! Connections in the kernel's table, for operators: which there are, and ending those that shall end.
//!
//! The control loop only lends what is needed, a [`View`]; reading and ending happen elsewhere, piece by piece, on
//! sockets of their own, and hold neither the loop up nor more than a piece in memory.

mod conditions;
mod end;
mod list;
mod query;
mod row;
mod table;
#[cfg(test)]
mod tests;

pub use conditions::Conditions;
pub use list::Lister;
pub use query::{ParameterError, Query, StateFilter, client};
pub use row::{Connection, State};
pub use table::{Ender, Kernel, Pieces, Table};

use crate::command::error::CommandError;
use director_core::config::closest;
use director_core::ids::{DestinationId, Registry};
use director_core::model::Network;
use director_nft::netlink::Filter;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands before a management address's name where a service's would.
const MANAGEMENT: &str = "management/";

/// Value and mask of the marks of all connections that the director schedules.
const ALL: (u32, u32) = (DestinationId::FLAG, DestinationId::FLAG);

/// What it takes to look into the table.
#[derive(Debug, Clone)]
pub struct View {
    /// Names of all marks.
    pub registry: Arc<Registry>,
    /// The table.
    pub table: Arc<dyn Table>,
}

/// Connections that somebody asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    view: View,
    /// What the kernel can choose by.
    filter: Filter,
    /// What it can't.
    conditions: Conditions,
}

impl View {
    /// The connections that `query` describes.
    ///
    /// # Errors
    /// A service or server that there is not, and that there was not either: [`CommandError::UnknownService`],
    /// [`CommandError::UnknownServer`], [`CommandError::UnknownServerName`].
    pub fn select(self, query: &Query) -> Result<Selection, CommandError> {
        let mut conditions = Conditions { ids: None, client: query.client, state: query.state };
        let marks = match (&query.service, &query.server) {
            (None, None) => ALL,
            (Some(service), None) => {
                let number = self.registry.service(service).ok_or_else(|| self.unknown_service(service))?;
                number.destinations()
            }
            (Some(service), Some(server)) => {
                self.registry.service(service).ok_or_else(|| self.unknown_service(service))?;
                let id = self.registry.server(service, server);
                (id.ok_or_else(|| self.unknown_server(service, server))?.get(), u32::MAX)
            }
            (None, Some(server)) => {
                let named = self.registry.destinations().filter(|(_, name, _)| name == server);
                let ids: BTreeSet<u32> = named.map(|(_, _, id)| id.get()).collect();
                match ids.first() {
                    None => return Err(self.unknown_server_name(server)),
                    Some(id) if ids.len() == 1 => (*id, u32::MAX),
                    Some(_) => {
                        conditions.ids = Some(ids);
                        ALL
                    }
                }
            }
        };
        let mut filter = Filter::mark(marks.0, marks.1);
        filter.client = conditions.client.take_if(|client| client.is_host()).map(Network::address);
        Ok(Selection { view: self, filter, conditions })
    }

    fn unknown_service(&self, name: &str) -> CommandError {
        let services: BTreeSet<&str> = self.registry.destinations().map(|(service, _, _)| service).collect();
        let management = services.get(format!("{MANAGEMENT}{name}").as_str()).copied();
        let suggestion = management.or_else(|| closest(name, services.iter().copied())).map(str::to_owned);
        CommandError::UnknownService { name: name.to_owned(), suggestion }
    }

    fn unknown_server(&self, service: &str, name: &str) -> CommandError {
        let servers = self.registry.destinations().filter(|(its, _, _)| *its == service);
        let suggestion = closest(name, servers.map(|(_, server, _)| server)).map(str::to_owned);
        CommandError::UnknownServer { service: service.to_owned(), name: name.to_owned(), suggestion }
    }

    fn unknown_server_name(&self, name: &str) -> CommandError {
        let servers = self.registry.destinations().map(|(_, server, _)| server);
        let suggestion = closest(name, servers).map(str::to_owned);
        CommandError::UnknownServerName { name: name.to_owned(), suggestion }
    }
}

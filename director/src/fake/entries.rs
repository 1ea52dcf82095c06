//! Persistence entries in memory.

use crate::persistence::Table;
use director_core::persistence::{Client, Entry};
use director_nft::netlink::Error;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

/// Entries of both families.
#[derive(Debug, Default)]
pub(crate) struct FakeEntries(Mutex<Vec<Entry>>);

impl FakeEntries {
    /// A client's entry, with so many seconds left; `None` for a pin.
    pub(crate) fn add(&self, client: &str, mark: u32, destination: u32, seconds: Option<u64>) {
        let client = Client { address: client.parse().unwrap(), mark };
        let left = seconds.map(Duration::from_secs);
        self.0.lock().unwrap().push(Entry { client, destination, left });
    }
}

impl Table for FakeEntries {
    fn each(&self, ipv6: bool, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<(), Error> {
        let entries = self.0.lock().unwrap().clone();
        let _ = entries.into_iter().filter(|it| it.client.address.is_ipv6() == ipv6).try_for_each(each);
        Ok(())
    }
}

//! Announcements without anything being kept open.

use super::AnnounceError;
use crate::{Mac, arp, ndisc};
use pnet_datalink::{Channel, Config, DataLinkSender, channel, interfaces};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Longest wait for room in the interface's queue.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// Tells the neighbours on `interface` that `addresses` are here now, one frame each. A frame may get lost: call
/// again after a second. Does not wait, but for room in the interface's queue.
///
/// # Errors
/// The interface is missing, not Ethernet or down, or the process may not open raw sockets. Addresses before the
/// one that failed have been announced.
pub fn announce(interface: &str, addresses: &[IpAddr]) -> Result<(), AnnounceError> {
    let (mac, mut sender) = open(interface)?;
    for &address in addresses {
        let sent = match address {
            IpAddr::V4(address) => sender.send_to(&arp::announcement(mac, address), None),
            // The director forwards between its interfaces, and the kernel says so too when it is asked.
            IpAddr::V6(address) => sender.send_to(&ndisc::announcement(mac, address, true), None),
        };
        sent.unwrap_or_else(|| Err(io::Error::other("the frame is too long")))
            .map_err(|error| AnnounceError::Send { address, interface: interface.to_owned(), error })?;
    }
    Ok(())
}

fn open(name: &str) -> Result<(Mac, Box<dyn DataLinkSender>), AnnounceError> {
    let interface = interfaces()
        .into_iter()
        .find(|interface| interface.name == name)
        .ok_or_else(|| AnnounceError::UnknownInterface(name.to_owned()))?;
    let mac = interface.mac.filter(|_| !interface.is_loopback() && !interface.is_point_to_point());
    let mac = mac.ok_or_else(|| AnnounceError::NotEthernet(name.to_owned()))?.octets();
    let config = Config { promiscuous: false, write_timeout: Some(WRITE_TIMEOUT), ..Config::default() };
    match channel(&interface, config) {
        Ok(Channel::Ethernet(sender, _)) => Ok((mac, sender)),
        Ok(_) => Err(AnnounceError::NotEthernet(name.to_owned())),
        Err(error) => Err(AnnounceError::Open { interface: name.to_owned(), error }),
    }
}

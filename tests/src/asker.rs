//! Somebody who asks all the time who has an address.

use crate::error::Doing;
use crate::{Host, Result};
use pnet_datalink::{Channel, Config, DataLinkSender, channel, interfaces};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Asks by ARP, by broadcast, who has an address; a [`Capture`](crate::Capture) hears who answers. It stops when dropped.
#[derive(Debug)]
pub struct Asker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Asker {
    /// Asks from an interface of a host, every `every`.
    ///
    /// # Errors
    /// There is no such interface, or it has no IPv4 address.
    pub fn start(host: &Host, interface: &str, address: Ipv4Addr, every: Duration) -> Result<Self> {
        let opened = host.enter(|| open(interface, address))?;
        let (question, mut sender) = opened.doing(format!("asking for {address}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The cable may be unplugged.
                let _ = sender.send_to(&question, None);
                std::thread::sleep(every);
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nobody is left to tell that it panicked.
            let _ = thread.join();
        }
    }
}

/// The question, and who sends it.
fn open(name: &str, address: Ipv4Addr) -> io::Result<(Vec<u8>, Box<dyn DataLinkSender>)> {
    let missing = || io::Error::other(format!("{name} has no Ethernet or no IPv4 address"));
    let interface = interfaces().into_iter().find(|it| it.name == name).ok_or_else(missing)?;
    let own = interface.ips.iter().find_map(|network| match network.ip() {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    });
    let (mac, own) = interface.mac.zip(own).ok_or_else(missing)?;
    let Channel::Ethernet(sender, _) =
        channel(&interface, Config { promiscuous: false, ..Config::default() })?
    else {
        return Err(missing());
    };
    let parts: [&[u8]; 7] = [
        &[0xff; 6],
        &mac.octets(),
        // ARP; Ethernet, IPv4, lengths of their addresses; request.
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1],
        &mac.octets(),
        &own.octets(),
        &[0; 6],
        &address.octets(),
    ];
    Ok((parts.concat(), sender))
}

//! UDP clients that never pause: what they send keeps the kernel's entry of their flow alive.

use super::Failure;
use crate::error::Doing;
use crate::{Greeting, Host, Result};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two datagrams, unless an answer comes earlier.
const INTERVAL: Duration = Duration::from_millis(5);

/// What came back last.
type Outcome = std::result::Result<Greeting, Failure>;

/// A UDP socket that sends all the time, from one source port. It stops when dropped.
#[derive(Debug)]
pub struct Flow {
    last: Arc<Mutex<Option<Outcome>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flow {
    pub(super) fn start(host: &Host, from: IpAddr, to: SocketAddr) -> Result<Self> {
        let doing = || format!("opening a udp socket from {from} to {to}");
        let socket = host.enter(|| UdpSocket::bind(SocketAddr::new(from, 0)))?.doing(doing())?;
        socket.connect(to).doing(doing())?;
        socket.set_read_timeout(Some(INTERVAL)).doing(doing())?;
        let last = Arc::new(Mutex::new(None));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&last), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(outcome) = exchange(&socket) {
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                }
            }
        });
        Ok(Self { last, stop, thread: Some(thread) })
    }

    /// What came back last since this was last asked; None if nothing did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nobody is left to tell that it panicked.
            let _ = thread.join();
        }
    }
}

/// Sends a datagram; what comes back within the interval, which may be an answer to an earlier one.
fn exchange(socket: &UdpSocket) -> Option<Outcome> {
    let mut answer = [0; 256];
    match socket.send(b"who are you?\n").and_then(|_| socket.recv(&mut answer)) {
        Ok(length) => {
            Some(Greeting::parse(&String::from_utf8_lossy(&answer[..length])).ok_or(Failure::Nonsense))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => Some(Err(error.into())),
    }
}

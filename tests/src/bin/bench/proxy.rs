//! HAProxy, to compare with.

use crate::Outcome;
use lab::{Host, eventually};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What is said if it is not there.
pub(crate) const MISSING: &str = "  HAProxy is missing: apt-get install haproxy";

/// For it to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running HAProxy. It ends when it is dropped.
pub(crate) struct Proxy(Child);

impl Proxy {
    /// Starts it; returns once it takes connections at `ready`. `None` if it is not installed.
    pub(crate) fn start(host: &Host, configuration: &str, ready: SocketAddr) -> Outcome<Option<Self>> {
        let file = host.directory()?.join("haproxy.cfg");
        fs::write(&file, configuration)?;
        let mut command = Command::new("haproxy");
        command.args(["-db", "-q", "-f"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null());
        let Ok(process) = host.spawn(&mut command) else { return Ok(None) };
        let proxy = Self(process);
        let open = || TcpStream::connect(ready).is_ok();
        eventually(PATIENCE, "HAProxy takes connections", || host.enter(open).unwrap_or(false))?;
        Ok(Some(proxy))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! Servers from Debian's packages, as real servers run them.

use crate::error::Doing;
use crate::{Host, Result};
use std::fs::File;
use std::process::{Child, Command, Stdio};

/// A server program on a host. It is killed when dropped.
#[derive(Debug)]
pub struct Program {
    process: Child,
}

impl Program {
    /// Starts a program, given as words. It must stay in the foreground; what it prints is shown when a test fails.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(host: &Host, words: &[&str]) -> Result<Self> {
        let (name, arguments) = words.split_first().unwrap_or((&"", &[]));
        let log = host.directory()?.join(format!("{}.log", name.replace('/', "-")));
        let log = File::options().create(true).append(true).open(log).doing("opening a log")?;
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().doing("copying a file")?).stderr(log);
        Ok(Self { process: host.spawn(&mut command)? })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

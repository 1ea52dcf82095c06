//! A thread on a host that runs tasks until they are done or told to stop.

use crate::error::Doing;
use crate::{Host, Result};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// A thread on a host, with its own runtime. It is told to stop, and waited for, when dropped.
#[derive(Debug)]
pub(super) struct Worker {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Tells tasks to stop.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits so long; true if it is time to stop.
    pub(super) async fn within(&mut self, time: std::time::Duration) -> bool {
        tokio::time::timeout(time, self.0.wait_for(|stop| *stop)).await.is_ok()
    }
}

impl Worker {
    /// Runs what `work` makes of the stop signal, in a thread of its own on `host`.
    pub(super) fn start<F: Future<Output = ()>>(
        host: &Host,
        work: impl FnOnce(Stop) -> F + Send + 'static,
    ) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = mpsc::channel();
        let thread = host.enter(|| {
            std::thread::spawn(move || {
                match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => {
                        let _ = ready.send(Ok(()));
                        runtime.block_on(work(Stop(stopped)));
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            })
        })?;
        let worker = Self { stop, thread: Some(thread) };
        is_ready
            .recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("it ended")))
            .doing("starting a thread")?;
        Ok(worker)
    }

    /// Runs a task in a thread of its own on `host`, and waits for its result.
    pub(super) fn run<T: Send + 'static, F: Future<Output = T>>(
        host: &Host,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T> {
        let (sender, result) = mpsc::channel();
        let _worker = Self::start(host, move |_| async move { drop(sender.send(work().await)) })?;
        result.recv().map_err(std::io::Error::other).doing("waiting for a thread")
    }

    /// Tells the tasks to stop and waits for them.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        self.join()
    }

    /// Waits until the tasks are done.
    pub(super) fn join(&mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(std::io::Error::other("it panicked")).doing("waiting for a thread"),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.stop();
    }
}

//! Connections as fast as they can be made, so that what lies between both ends is what they cost.
//!
//! A connection is four packets: three to open it, and the reset by which the client ends it. Nobody waits for
//! anybody: the network namespaces hand packets on within the client's own system call.

use crate::Outcome;
use lab::Host;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, listen, setsockopt, socket,
    sockopt,
};
use nix::unistd::Pid;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Time between a server's looks for connections: it takes many at a time.
const PAUSE: Duration = Duration::from_millis(1);

/// A connection that takes longer has lost its first packet.
const STALL: Duration = Duration::from_millis(500);

/// A server that takes connections and drops them. It ends when it is dropped itself.
pub(crate) struct Sink {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    pub(crate) fn start(host: &Host, port: u16) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // A server that gets no time for a while loses nothing.
        host.set("net.core.somaxconn", "65535")?;
        let listener = host.enter(|| listener(port))??;
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                while listener.accept().is_ok() {}
                sleep(PAUSE);
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // There is nothing to be done about a panic.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The standard library's listeners take 128 waiting connections only.
fn listener(port: u16) -> nix::Result<TcpListener> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port))?;
    listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(socket.into())
}

/// What came of a time of hammering.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    /// Connections made.
    pub(crate) made: u64,
    /// In this time.
    pub(crate) time: Duration,
    /// Time that the clients had a core, all together: they share them with whoever else runs.
    pub(crate) cpu: Duration,
    /// Connections that were not made, or only after a packet was lost.
    pub(crate) failed: u64,
}

impl Count {
    /// Connections a second.
    pub(crate) fn rate(&self) -> f64 {
        self.made as f64 / self.time.as_secs_f64()
    }

    /// Microseconds of CPU time a connection.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.made.max(1) as f64
    }
}

/// Connects to `targets` in turn, from `sources` in turn, on every core of the machine for that time, after a
/// while that does not count.
pub(crate) fn hammer(
    host: &Host,
    sources: &[SocketAddrV4],
    targets: &[SocketAddrV4],
    warm: Duration,
    time: Duration,
) -> Outcome<Count> {
    let cores = std::thread::available_parallelism()?.get();
    let counts = host.enter(|| {
        std::thread::scope(|scope| {
            let start = |core| {
                scope.spawn(move || {
                    stay_on(core)?;
                    visit(sources, targets, core, warm)?;
                    visit(sources, targets, core, time)
                })
            };
            let threads: Vec<_> = (0..cores).map(start).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            threads.into_iter().map(join).collect::<std::io::Result<Vec<Count>>>()
        })
    })??;
    Ok(counts.iter().fold(Count::default(), |sum, count| Count {
        made: sum.made + count.made,
        time: sum.time.max(count.time),
        cpu: sum.cpu + count.cpu,
        failed: sum.failed + count.failed,
    }))
}

/// Keeps the calling thread on one core.
fn stay_on(core: usize) -> nix::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
}

fn visit(
    sources: &[SocketAddrV4],
    targets: &[SocketAddrV4],
    core: usize,
    time: Duration,
) -> std::io::Result<Count> {
    let mut count = Count::default();
    let (begin, cpu) = (Instant::now(), cpu_time()?);
    // Threads begin with different ones.
    let pairs = sources.iter().cycle().skip(core).zip(targets.iter().cycle().skip(core));
    for (source, target) in pairs {
        let opened = Instant::now();
        match open(*source, *target) {
            Ok(()) => count.made += 1,
            Err(nix::Error::ECONNREFUSED | nix::Error::ETIMEDOUT | nix::Error::ECONNRESET) => {
                count.failed += 1
            }
            Err(error) => return Err(error.into()),
        }
        count.failed += u64::from(opened.elapsed() > STALL);
        if begin.elapsed() > time {
            break;
        }
    }
    count.time = begin.elapsed();
    count.cpu = cpu_time()?.saturating_sub(cpu);
    Ok(count)
}

/// Time that the calling thread has had a core so far, work of the kernel's network on its behalf included.
fn cpu_time() -> std::io::Result<Duration> {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = figures.split(' ').next().and_then(|figure| figure.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// Opens a connection and resets it.
fn open(source: SocketAddrV4, target: SocketAddrV4) -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    // The port is chosen when connecting, and may be in use for another target.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    setsockopt(&socket, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(source))?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(target))
}

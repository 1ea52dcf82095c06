//! Real servers that say who they are.
//!
//! A server greets every TCP connection with one line, a [`Greeting`], and answers
//! every line that it gets with the same line. On the HTTP ports it waits for requests instead and answers each with
//! that line as the body, as long as the client keeps the connection; on [`RDP_PORT`] it answers an X.224 connection
//! request. A UDP datagram is answered by that line.
//! Whoever says `QUIT`, or sends `Connection: close`, is hung up on: so the server holds the TIME-WAIT, and
//! clients never run out of source ports.

use crate::error::Doing;
use crate::{Greeting, Host, Result};
use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::oneshot;

/// TCP ports of a server unless others are asked for: Exchange's, RDP's, and one for port mapping.
pub const TCP_PORTS: [u16; 9] = [25, 80, 443, 465, 587, 717, 2525, 3389, 8080];

/// The port on which it is a remote desktop.
pub const RDP_PORT: u16 = 3389;

/// UDP ports of a server unless others are asked for.
pub const UDP_PORTS: [u16; 2] = [53, 443];

/// Waiting connections a port, beyond which the kernel drops new ones.
const BACKLOG: u32 = 4096;

/// Longest line that a client may send, in bytes.
const LINE_LIMIT: u64 = 8192;

/// True for the ports on which clients speak first, in HTTP.
#[must_use]
pub fn is_http(port: u16) -> bool {
    matches!(port, 80 | 8080)
}

/// A running real server. It stops when dropped: connections end, its ports refuse.
#[derive(Debug)]
pub struct Server {
    host: Host,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counters {
    /// TCP connections and UDP datagrams by port.
    arrivals: BTreeMap<u16, AtomicU64>,
    open: AtomicU64,
}

impl Server {
    /// Starts a server on [`TCP_PORTS`] and [`UDP_PORTS`] of all addresses of `host`, IPv4 and IPv6.
    ///
    /// # Errors
    /// A port could not be opened.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_on(host, &TCP_PORTS, &UDP_PORTS)
    }

    /// As [`Self::start`], with other ports.
    ///
    /// # Errors
    /// A port could not be opened.
    pub fn start_on(host: &Host, tcp: &[u16], udp: &[u16]) -> Result<Self> {
        let arrivals = tcp.iter().chain(udp).map(|port| (*port, AtomicU64::new(0))).collect();
        let counters = Arc::new(Counters { arrivals, open: AtomicU64::new(0) });
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let (name, shared) = (host.name().to_owned(), Arc::clone(&counters));
        let (tcp, udp) = (tcp.to_vec(), udp.to_vec());
        let thread = host.enter(|| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = match runtime.doing("starting a runtime") {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                runtime.block_on(async {
                    let _ = ready.send(open(&name, &tcp, &udp, &shared).await);
                    let _ = stopped.await;
                });
                // Ends all tasks, and so closes all sockets.
                drop(runtime);
            })
        })?;
        let server = Self { host: host.clone(), counters, stop: Some(stop), thread: Some(thread) };
        match is_ready.recv() {
            Ok(opened) => opened.map(|()| server),
            Err(_) => Err(std::io::Error::other("it ended")).doing("starting a server"),
        }
    }

    /// Its host's name, by which it greets.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// TCP connections and UDP datagrams that arrived so far, on all ports.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.counters.arrivals.values().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// TCP connections and UDP datagrams that arrived so far on that port.
    #[must_use]
    pub fn arrivals_on(&self, port: u16) -> u64 {
        self.counters.arrivals.get(&port).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// TCP connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.counters.open.load(Ordering::Relaxed)
    }

    /// Stops it as a killed process would: connections end, ports refuse.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Opens all ports and leaves a task on each.
async fn open(name: &str, tcp: &[u16], udp: &[u16], counters: &Arc<Counters>) -> Result<()> {
    for port in tcp.iter().copied() {
        let doing = || format!("opening tcp port {port} of {name}");
        let socket = TcpSocket::new_v6().doing(doing())?;
        socket.set_reuseaddr(true).doing(doing())?;
        socket.bind((Ipv6Addr::UNSPECIFIED, port).into()).doing(doing())?;
        let listener = socket.listen(BACKLOG).doing(doing())?;
        tokio::spawn(accept(listener, name.to_owned(), port, Arc::clone(counters)));
    }
    for port in udp.iter().copied() {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).await;
        let socket = socket.doing(format!("opening udp port {port} of {name}"))?;
        tokio::spawn(answer(socket, name.to_owned(), port, Arc::clone(counters)));
    }
    Ok(())
}

async fn accept(listener: TcpListener, name: String, port: u16, counters: Arc<Counters>) {
    loop {
        // Errors are those of one connection that is already gone.
        let Ok((mut stream, peer)) = listener.accept().await else { continue };
        counters.count(port);
        let greeting = greeting(&name, port, peer).to_string();
        let counters = Arc::clone(&counters);
        tokio::spawn(async move {
            counters.open.fetch_add(1, Ordering::Relaxed);
            let (read, write) = stream.split();
            let read = BufReader::new(read);
            // How a connection ends is the client's observation.
            let _ = if port == RDP_PORT {
                serve_rdp(read, write).await
            } else if is_http(port) {
                serve_http(read, write, &greeting).await
            } else {
                serve_lines(read, write, &greeting).await
            };
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn answer(socket: UdpSocket, name: String, port: u16, counters: Arc<Counters>) {
    let mut buffer = [0; 2048];
    loop {
        // Errors are ICMP messages about earlier answers.
        let Ok((_, peer)) = socket.recv_from(&mut buffer).await else { continue };
        counters.count(port);
        let _ = socket.send_to(greeting(&name, port, peer).to_string().as_bytes(), peer).await;
    }
}

async fn serve_lines(
    mut read: impl AsyncBufReadExt + Unpin,
    mut write: impl AsyncWrite + Unpin,
    greeting: &str,
) -> std::io::Result<()> {
    write.write_all(greeting.as_bytes()).await?;
    let mut line = Vec::new();
    while read_line(&mut read, &mut line).await? && line != b"QUIT\n" {
        write.write_all(&line).await?;
    }
    Ok(())
}

async fn serve_http(
    mut read: impl AsyncBufReadExt + Unpin,
    mut write: impl AsyncWrite + Unpin,
    body: &str,
) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n{body}",
        body.len()
    );
    let mut line = Vec::new();
    let mut close = false;
    while read_line(&mut read, &mut line).await? {
        close |= line.eq_ignore_ascii_case(b"connection: close\r\n");
        if line == b"\r\n" {
            write.write_all(answer.as_bytes()).await?;
            if close {
                break;
            }
        }
    }
    Ok(())
}

/// Confirms an X.224 connection request and chooses TLS (MS-RDPBCGR 2.2.1.2).
async fn serve_rdp(
    mut read: impl AsyncBufReadExt + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    const CONNECTION_REQUEST: u8 = 0xe0;
    const CONFIRM: &[u8] = b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x01\0\0\0";
    let mut head = [0; 6];
    read.read_exact(&mut head).await?;
    let [3, _, high, low, _, CONNECTION_REQUEST] = head else {
        return Err(std::io::ErrorKind::InvalidData.into());
    };
    let rest = u64::from(u16::from_be_bytes([high, low])).saturating_sub(head.len() as u64);
    tokio::io::copy(&mut (&mut read).take(rest), &mut tokio::io::sink()).await?;
    write.write_all(CONFIRM).await?;
    tokio::io::copy(&mut read, &mut tokio::io::sink()).await?;
    Ok(())
}

/// False at the end of the stream; an endless line is an error.
async fn read_line(read: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let length = read.take(LINE_LIMIT).read_until(b'\n', line).await?;
    if length as u64 == LINE_LIMIT && !line.ends_with(b"\n") {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    Ok(length > 0)
}

fn greeting(name: &str, port: u16, peer: SocketAddr) -> Greeting {
    // IPv4 clients come to an IPv6 socket as mapped addresses.
    Greeting { server: name.to_owned(), port, peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()) }
}

impl Counters {
    fn count(&self, port: u16) {
        if let Some(count) = self.arrivals.get(&port) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

//! One TCP connection to a [`Server`](crate::Server).

use super::Failure;
use crate::Greeting;
use crate::server::is_http;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a client waits for a connection or an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// An open connection to a server that has said who it is.
pub(super) struct Conversation {
    stream: BufReader<TcpStream>,
    http: bool,
    /// What the server said first.
    pub(super) greeting: Greeting,
    /// Time until the connection was made.
    pub(super) connect: Duration,
}

impl Conversation {
    /// Connects and learns who answers.
    pub(super) async fn open(to: SocketAddr, from: Option<SocketAddr>) -> Result<Self, Failure> {
        patiently(async {
            let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(from) = from {
                // The port is chosen when connecting: the same one may serve for many destinations.
                setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
                socket.set_reuseaddr(from.port() != 0)?;
                socket.bind(from).map_err(std::io::Error::other)?;
            }
            let begin = Instant::now();
            let stream = socket.connect(to).await?;
            let connect = begin.elapsed();
            stream.set_nodelay(true)?;
            let http = is_http(to.port());
            let mut stream = BufReader::new(stream);
            let greeting = receive_greeting(&mut stream, http).await?;
            Ok(Self { stream, http, greeting, connect })
        })
        .await
    }

    /// Sends something and gets the answer to it.
    pub(super) async fn exchange(&mut self) -> Result<(), Failure> {
        patiently(async {
            if self.http {
                return receive_greeting(&mut self.stream, self.http).await.map(drop);
            }
            self.echo("NOOP\n").await
        })
        .await
    }

    /// Sends a line of so many bytes and gets it back; not on HTTP ports.
    pub(super) async fn echo_line(&mut self, length: usize) -> Result<(), Failure> {
        patiently(self.echo(&format!("{}\n", "x".repeat(length.saturating_sub(1))))).await
    }

    async fn echo(&mut self, line: &str) -> std::io::Result<()> {
        self.stream.write_all(line.as_bytes()).await?;
        let answer = receive_line(&mut self.stream).await?;
        if answer == line { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
    }

    /// Says good-bye and waits until the server has closed the connection.
    pub(super) async fn close(mut self) -> Result<(), Failure> {
        patiently(async {
            let good_bye = if self.http { "GET / HTTP/1.1\r\nConnection: close\r\n\r\n" } else { "QUIT\n" };
            self.stream.write_all(good_bye.as_bytes()).await?;
            self.stream.read_to_end(&mut Vec::new()).await?;
            Ok(())
        })
        .await
    }
}

/// The greeting: in HTTP it is asked for, and comes after the headers.
async fn receive_greeting(stream: &mut BufReader<TcpStream>, http: bool) -> std::io::Result<Greeting> {
    if http {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await?;
        while receive_line(stream).await? != "\r\n" {}
    }
    Greeting::parse(&receive_line(stream).await?).ok_or(ErrorKind::InvalidData.into())
}

async fn receive_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

async fn patiently<T>(work: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    match timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(_) => Err(Failure::Timeout),
    }
}

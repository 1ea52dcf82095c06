//! Servers for tests, on loopback.

use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// Any port of IPv4.
pub(crate) const V4: &str = "127.0.0.1:0";

/// Any port of IPv4, and of IPv6.
pub(crate) const BOTH: [&str; 2] = [V4, "[::1]:0"];

/// A port that connections can be made to.
pub(crate) async fn listener(any: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(any).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves one connection as `then` says. What it returns is what the server saw.
pub(crate) async fn serve<T: Send + 'static, F: Future<Output = T> + Send>(
    any: &str,
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let (listener, address) = listener(any).await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        then(stream).await
    });
    (address, server)
}

/// Sends `answers` for each datagram.
pub(crate) async fn reply(any: &str, answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind(any).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(reply_by(socket, answers));
    address
}

/// As [`reply`], by a socket that is there.
pub(crate) async fn reply_by(socket: UdpSocket, answers: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let mut buffer = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        for answer in answers(&buffer[..length]) {
            socket.send_to(&answer, client).await.unwrap();
        }
    }
}

/// A port of UDP on which nothing listens.
pub(crate) async fn closed(any: &str) -> SocketAddr {
    UdpSocket::bind(any).await.unwrap().local_addr().unwrap()
}

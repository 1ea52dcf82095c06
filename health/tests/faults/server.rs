//! Servers that misbehave, each in its own way, on loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is wrong with a server that speaks over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nobody listens.
    Refuses,
    /// It no longer accepts, and its kernel drops what comes.
    Overloaded,
    /// It accepts and says nothing.
    Silent,
    /// It closes without a word.
    Closes,
    /// It says half of what it should, and closes.
    ClosesHalfWay,
    /// It says half of what it should, and resets.
    ResetsHalfWay,
    /// It says what it should, a byte at a time, far too slowly.
    Trickles,
    /// What it says begins well and never ends.
    NeverEnds,
    /// It says something else altogether.
    Babbles,
}

/// All of them.
pub(crate) const FLAWS: [(Flaw, &str); 9] = [
    (Flaw::Refuses, "nobody listens"),
    (Flaw::Overloaded, "no longer accepts"),
    (Flaw::Silent, "accepts and is silent"),
    (Flaw::Closes, "closes without a word"),
    (Flaw::ClosesHalfWay, "closes half-way"),
    (Flaw::ResetsHalfWay, "resets half-way"),
    (Flaw::Trickles, "one byte at a time"),
    (Flaw::NeverEnds, "never ends"),
    (Flaw::Babbles, "speaks something else"),
];

/// What a server of some protocol says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// What it should say once it is talked to, or at once.
    pub(crate) answer: &'static [u8],
    /// True if it speaks first.
    pub(crate) greets: bool,
    /// What it says over and over if it never ends; `answer` has gone before unless that is complete in itself.
    pub(crate) endless: (&'static [u8], &'static [u8]),
    /// Something else altogether.
    pub(crate) babble: &'static [u8],
}

/// A server, until it is dropped.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Bytes that it could send.
    pub(crate) sent: Arc<AtomicUsize>,
    task: Option<JoinHandle<()>>,
    /// Fill the backlog of one that no longer accepts.
    _waiting: Vec<TcpStream>,
}

/// Starts a server with a flaw.
pub(crate) async fn start(script: Script, flaw: Flaw) -> io::Result<Server> {
    let sent = Arc::new(AtomicUsize::new(0));
    if flaw == Flaw::Overloaded {
        return overloaded(sent).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = (flaw != Flaw::Refuses).then(|| {
        let sent = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script, flaw, Arc::clone(&sent)));
            }
        })
    });
    Ok(Server { address, sent, task, _waiting: Vec::new() })
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn overloaded(sent: Arc<AtomicUsize>) -> io::Result<Server> {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    listener.listen(0)?;
    let address = listener.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    let waiting = vec![TcpStream::connect(address).await?];
    let task = tokio::spawn(async move {
        let _listener = listener;
        std::future::pending::<()>().await;
    });
    Ok(Server { address, sent, task: Some(task), _waiting: waiting })
}

async fn serve(mut stream: TcpStream, script: Script, flaw: Flaw, sent: Arc<AtomicUsize>) {
    // An end of the other side is the end of the story.
    let _ = tell(&mut stream, script, flaw, &sent).await;
}

async fn tell(stream: &mut TcpStream, script: Script, flaw: Flaw, sent: &AtomicUsize) -> io::Result<()> {
    if !script.greets {
        let mut request = [0; 4096];
        if stream.read(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let half = script.answer.get(..script.answer.len() / 2).unwrap_or_default();
    match flaw {
        Flaw::Silent => linger(stream).await,
        Flaw::ClosesHalfWay => {
            stream.write_all(half).await?;
            stream.shutdown().await?;
            linger(stream).await
        }
        Flaw::ResetsHalfWay => {
            stream.write_all(half).await?;
            // The half must have been read before the reset discards it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))
        }
        Flaw::Trickles => {
            for byte in script.answer {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            linger(stream).await
        }
        Flaw::NeverEnds => {
            let (first, again) = script.endless;
            stream.write_all(first).await?;
            let block = again.repeat(16 * 1024 / again.len().max(1) + 1);
            loop {
                let count = stream.write(&block).await?;
                sent.fetch_add(count, Ordering::Relaxed);
            }
        }
        Flaw::Babbles => {
            stream.write_all(script.babble).await?;
            linger(stream).await
        }
        Flaw::Refuses | Flaw::Overloaded | Flaw::Closes => Ok(()),
    }
}

/// Reads until the other side ends.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

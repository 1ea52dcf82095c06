//! Leaving in order, for servers that log what is cut off.

use super::trace::Trace;
use crate::Target;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Longest time for leaving.
const PATIENCE: Duration = Duration::from_millis(250);

/// So often the server's last words are read, in pieces of 512 bytes at most.
const READS: usize = 16;

/// What is said at leaving.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Words {
    /// Nothing.
    None,
    /// This, and no answer belongs to it.
    Unanswered(&'static [u8]),
    /// This, and the answer is due before the connection ends.
    Answered(&'static [u8]),
}

/// Says `words`, ends its own side of the connection and waits shortly for the server to end the other. What comes
/// of it is no matter: the attempt has its outcome and its latency, and half of the time that is left to it stays
/// untouched.
pub(crate) async fn farewell<S>(stream: &mut S, words: Words, target: &Target, trace: &Trace)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let left = target.timeout.saturating_sub(trace.decided());
    let leave = async {
        let mut last_words = [0; 512];
        match words {
            Words::None => {}
            Words::Unanswered(bytes) => stream.write_all(bytes).await?,
            Words::Answered(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                let _answer = stream.read(&mut last_words).await?;
            }
        }
        stream.shutdown().await?;
        for _ in 0..READS {
            if stream.read(&mut last_words).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(PATIENCE.min(left / 2), leave).await;
}

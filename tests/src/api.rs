//! The director's API over its Unix socket, without a process in between.

use crate::error::Doing;
use crate::{Error, Result};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A director's socket.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, JSON or empty.
    pub body: String,
}

impl Api {
    /// The API behind that socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks on a connection of its own.
    ///
    /// # Errors
    /// Nobody listens, or no answer comes within a minute.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let question = format!("{method} {path}");
        let answer = self.exchange(&question, body).doing(question.clone())?;
        let parse = || {
            let (head, body) = answer.split_once("\r\n\r\n")?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some(Answer { status, body: body.to_owned() })
        };
        parse().ok_or_else(|| Error::Answer { question, answer: answer.clone() })
    }

    /// As [`Self::ask`], where anything but success is an error.
    ///
    /// # Errors
    /// As for [`Self::ask`], or the director refused.
    pub fn demand(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        let value = if answer.body.is_empty() { Some(Value::Null) } else { answer.body.parse().ok() };
        value.filter(|_| (200..300).contains(&answer.status)).ok_or_else(|| Error::Answer {
            question: format!("{method} {path}"),
            answer: format!("{} {}", answer.status, answer.body),
        })
    }

    fn exchange(&self, question: &str, body: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "{question} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

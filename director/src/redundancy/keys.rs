//! The file with the keys that adverts and hellos are signed with.
//!
//! ```text
//! # since 2026-03-01
//! 2 4u7Zr1m0xB3sQ9eYk2tN8vWcL5oHjD6aGfPiRqXzUyE=
//! 1 Hn3pV0cKd8wM5rTqZs7bJx2yLg9uEoA4fXiRkQvBzN6=
//! ```
//!
//! One key a line: a number and a secret; a secret alone has the number 1. The first key signs, both are accepted. No
//! error and no log ever shows a word of the file.

use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use sync::vrrp::authentication::{Key, KeyError, Keyring};

/// Bytes of the file at most.
const LONGEST: usize = 4096;

/// Why a key file does not serve: place, reason, hint.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {fault}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// The line, if it is one line's fault.
    pub line: Option<usize>,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// What may be wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It isn't there.
    #[error(
        "there is no such file, which key_file under redundancy names: copy it from the other director, or make it with 'openssl rand -base64 32 | install -m 600 /dev/stdin FILE'"
    )]
    Missing,
    /// It can't be read.
    #[error("{0}: it is named by key_file under redundancy")]
    Read(#[source] io::Error),
    /// A folder, a pipe, a device.
    #[error("not a regular file")]
    NotRegular,
    /// It is no secret any more.
    #[error(
        "any user of this machine may read or change it (mode {0:04o}): chmod 600 it, and make new keys if others had access"
    )]
    Exposed(u32),
    /// Something else than keys.
    #[error("longer than {LONGEST} bytes: it holds one or two lines 'NUMBER SECRET'")]
    Length,
    /// Something else than keys.
    #[error(
        "not a text: it holds one or two lines 'NUMBER SECRET'; make a secret with 'openssl rand -base64 32'"
    )]
    NotText,
    /// No keys.
    #[error("there is no key in it: write a line '1 SECRET'; make a secret with 'openssl rand -base64 32'")]
    Empty,
    /// A third key.
    #[error("a third key: at most two are accepted at once, the first one signs; drop the oldest")]
    TooMany,
    /// A line of several words.
    #[error(
        "not 'NUMBER SECRET': a number from 1 to 255, a space, a secret without spaces; comments have lines of their own and begin with '#'"
    )]
    Line,
    /// A line that is cut off.
    #[error("a number without a secret: write 'NUMBER SECRET'")]
    NoSecret,
    /// Could be guessed, or a number twice.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Read(error) }
    }
}

/// Reads a key file.
///
/// # Errors
/// See [`Fault`].
pub fn load(path: &Path) -> Result<Keyring, KeyFileError> {
    let error = |(line, fault)| KeyFileError { path: path.to_owned(), line, fault };
    let bytes = read(path).map_err(|fault| error((None, fault)))?;
    parse(&bytes).map_err(error)
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    // A pipe would be waited for, for ever.
    let file: File = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Fault::NotRegular);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(Fault::Exposed(mode));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The keys of a file's text; a fault comes with its line.
fn parse(bytes: &[u8]) -> Result<Keyring, (Option<usize>, Fault)> {
    if bytes.len() > LONGEST {
        return Err((None, Fault::Length));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| (None, Fault::NotText))?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let plain = |letter: char| letter == '\t' || !letter.is_control();
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at = |fault| (Some(number), fault);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.chars().all(plain) {
            return Err((None, Fault::NotText));
        }
        if keys.len() == 2 {
            return Err(at(Fault::TooMany));
        }
        keys.push((number, key(line).map_err(at)?));
    }
    let mut keys = keys.into_iter();
    let (_, signing) = keys.next().ok_or((None, Fault::Empty))?;
    let (line, also) = keys.next().unzip();
    Keyring::new(signing, also).map_err(|error| (line, error.into()))
}

fn key(line: &str) -> Result<Key, Fault> {
    let mut words = line.split_whitespace();
    let (number, secret) = match (words.next(), words.next(), words.next()) {
        (Some(number), None, None) if number.parse::<u8>().is_ok() => return Err(Fault::NoSecret),
        (Some(secret), None, None) => (1, secret),
        (Some(number), Some(secret), None) => {
            (number.parse().ok().filter(|&number| number > 0).ok_or(Fault::Line)?, secret)
        }
        _ => return Err(Fault::Line),
    };
    Ok(Key::new(number, secret.as_bytes())?)
}

/// What Windows' editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Permissions that nobody but the owner and the group may have.
const OTHERS: u32 = 0o007;

#[cfg(test)]
mod tests;

//! What is tried on a target, as plain data.

pub mod dns;
mod http;
mod pattern;

pub use dns::Dns;
pub use http::{BodyMatch, Http, HttpVersion, Method, StatusSet};
pub use pattern::Pattern;

use std::path::PathBuf;
use std::time::Duration;

/// What is tried on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A TCP connection can be made.
    Tcp,
    /// A TLS handshake can be done.
    Tls(Tls),
    /// An HTTP request gets a good answer.
    Http(Http),
    /// A mail server greets and talks.
    Smtp(Smtp),
    /// A remote desktop answers an X.224 connection request.
    Rdp(Rdp),
    /// A DNS server answers a question.
    Dns(Dns),
    /// A datagram is answered, or at least not refused.
    Udp(Udp),
    /// The host answers an echo request.
    Icmp,
    /// A program says so.
    Exec(Exec),
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The name that is asked for (SNI), and that the certificate must be for if it is verified. `None`: the
    /// target's address, which asks for no name.
    pub server_name: Option<String>,
    /// What the certificate must stand up to.
    pub verify: Verify,
    /// A certificate that ends within this time passes with a note. `None`: no note.
    pub expiry_warning: Option<Duration>,
}

/// What a certificate must stand up to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verify {
    /// Nothing: any certificate will do.
    #[default]
    Off,
    /// The authorities that the operating system trusts.
    System,
    /// The authorities in a file, in PEM.
    File(PathBuf),
}

/// A dialogue with a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// The name that the probe greets with.
    pub helo: String,
    /// Whether and when TLS is spoken.
    pub security: SmtpSecurity,
}

/// TLS of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// None.
    Plain,
    /// After STARTTLS, which the server must offer.
    StartTls(Tls),
    /// From the first byte, as on port 465.
    Implicit(Tls),
}

/// A connection request to a remote desktop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rdp {
    /// The server must agree to TLS or CredSSP: one that is alive but wants other security has failed.
    pub strict: bool,
    /// User name in the request's routing cookie, in printable ASCII and of at most 64 characters; `None`: no cookie.
    pub cookie: Option<String>,
}

/// A datagram and what must come back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Udp {
    /// What is sent.
    pub send: Vec<u8>,
    /// What must come back.
    pub reply: Reply,
}

/// What must come back for a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reply {
    /// Any datagram.
    #[default]
    Any,
    /// One that begins with these bytes.
    Prefix(Vec<u8>),
    /// Nothing need come: silence until the timeout passes, a refusal (ICMP) fails.
    Optional,
}

/// A program that knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The program, an absolute path, and its arguments, where `%h` stands for the address, `%p` for the port and
    /// `%%` for a percent sign; not empty. There is no shell.
    pub command: Vec<String>,
    /// The user that it runs as.
    pub user: String,
    /// What its exit status means.
    pub exit: ExitMeaning,
}

/// What an exit status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExitMeaning {
    /// 0: up; 1: down; 2 to 255: up with that weight less 2 (keepalived's dynamic `MISC_CHECK`).
    #[default]
    Weight,
    /// 0: up; 1: up with a note (warning); all others: down (Nagios plugins).
    Nagios,
    /// 0: up; all others: down (keepalived's `vrrp_script`).
    Plain,
}

impl Kind {
    /// True if it needs a port to go to.
    #[must_use]
    pub fn has_port(&self) -> bool {
        !matches!(self, Self::Icmp | Self::Exec(_))
    }
}

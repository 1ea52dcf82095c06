//! The rest: way out, kernel, API.

use crate::config::decode::List;
use crate::config::decode::{Named, choice, record};
use crate::config::values::{AbsolutePath, Endpoint, Name, Number};
use crate::model::Network;

record! {
    /// The real servers' way out, and to the VIPs.
    Outbound {
        /// Networks of the private side whose traffic out of the public interface gets that interface's address.
        masquerade: List<Network>,
        /// Real servers may call VIPs that lead back into their own network. Default: false.
        hairpin: bool,
        /// Packets of unknown connections that real servers send are answered with a TCP reset in place of being
        /// forwarded with their private source. Costs every forwarded packet a look. Default: false.
        reset_invalid: bool,
    }
}

record! {
    /// Kernel settings and the sizes of tables.
    Kernel {
        /// The director writes kernel settings; false: it compares and reports them only. Default: true.
        manage: bool,
        /// Count bytes and packets of connections; makes a new connection about 5% dearer. Default: true.
        accounting: bool,
        /// Most connections that the kernel tracks. Default: left alone.
        conntrack_max: Number<1_024, 268_435_456>,
        /// Buckets of its connection table. Default: left alone.
        conntrack_buckets: Number<1_024, 268_435_456>,
        /// Most persistence entries of each family. Default: 65536.
        persistence_entries: Number<1_024, 16_777_216>,
    }
}

record! {
    /// The HTTP API.
    Api {
        /// Path of its Unix socket. Default: /run/director/director.sock.
        socket: AbsolutePath<107>,
        /// Group that may use the socket beside root. Default: none.
        group: Name,
        /// Loopback address and port where it listens too, with /metrics. Default: nowhere.
        listen: Endpoint,
        /// Who may use the API over TCP, by name. Not supported yet.
        tokens: Named<Token>,
        /// TLS, for listening elsewhere than on loopback. Not supported yet.
        tls: Tls,
    }
}

record! {
    /// Someone who may use the API over TCP.
    Token {
        /// What they may do.
        role: Role = required,
        /// File with the token.
        file: AbsolutePath = required,
    }
}

choice! {
    /// What a user of the API may do.
    Role {
        Viewer = "viewer",
        Operator = "operator",
        Admin = "admin",
    }
}

record! {
    /// TLS of the API.
    Tls {
        /// File with the certificate chain.
        certificate: AbsolutePath = required,
        /// File with its key.
        key: AbsolutePath = required,
        /// File with the authorities whose client certificates are asked for.
        client_ca: AbsolutePath,
    }
}

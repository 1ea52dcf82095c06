//! Probes.

mod damping;
mod dns;
mod exec;
mod http;
mod origin;
mod usage;

pub(in crate::config) use damping::FlapDamping;
pub(in crate::config) use dns::{Rcode, RecordType};
pub(in crate::config) use exec::{Argument, Exit};
pub(in crate::config) use http::{Header, Headers, HttpVersion, Method, StatusSpan};
pub(in crate::config) use origin::{PacketMark, Source};
pub(in crate::config) use usage::{Combination, ProbeUse};

use crate::config::decode::{List, OneOrMany, choice, record};
use crate::config::values::{AbsolutePath, Hex, Number, Percent, Period, Port, Size, Text};
use std::net::IpAddr;

record! {
    /// How to find out whether a real server works.
    Probe {
        /// What is tried: tcp, tls, http, https, smtp, rdp, dns, udp, icmp or exec.
        ["type"] kind: ProbeType = required,
        /// Port to probe. Default: the server's port for the first tcp port of the service; of dns and udp for its
        /// first udp port.
        port: Port,
        /// Address to probe. Default: the real server's own.
        address: IpAddr,
        /// Where probes leave from: `private`, the director's own address on the private side, or an address that
        /// both directors have. Default: where the routes say.
        source: Source,
        /// Mark of the probe's packets, for policy routing, as 80 or 0x50. Default: none.
        mark: PacketMark,
        /// From one probe's start to the next one's: 100ms to 1h. Default: 2s.
        interval: Period<100, 3_600_000>,
        /// The same while probes fail or the server is down: 100ms to 1h. Default: `interval`.
        retry: Period<100, 3_600_000>,
        /// The same on the director that is Backup: 100ms to 1h. Default: `interval`.
        backup_interval: Period<100, 3_600_000>,
        /// Longest random delay of the first probe, so that not all start at once: 0s to 1h. Default: 1s, or
        /// `interval` if that is shorter.
        jitter: Period<0, 3_600_000>,
        /// A probe without a verdict by then has failed: 10ms to the shortest of the intervals. Default: 1s, or the
        /// shortest of the intervals.
        timeout: Period<10, 3_600_000>,
        /// So many successes in a row bring a server up. Default: 2.
        rise: Number<1, 100>,
        /// So many failures in a row take a server down. Default: 3.
        fall: Number<1, 100>,
        /// What a server is before its first verdict: up until it has failed `fall` times, down until it has
        /// passed, or unknown until the first probe has ended, which decides alone. Default: up.
        start: Start,
        /// A probe that takes longer passes, but is reported as slow: 1ms to `timeout`. Default: none is slow.
        slow: Period<1, 3_600_000>,
        /// Share of its weight that a slow server keeps: "1%" to "100%". Default: 100%.
        slow_weight: Percent,
        /// What is done about a server that goes up and down. Default: nothing.
        flap_damping: FlapDamping,
        /// http, https: version of the protocol, "1.0" or "1.1". Default: 1.1.
        version: HttpVersion,
        /// http, https: the Host header. Default: in HTTP/1.1 the address, in HTTP/1.0 none.
        host: Text,
        /// http, https: the path that is asked for. Default: /.
        path: Text,
        /// http, https: the method. Default: GET.
        method: Method,
        /// http, https: further headers, at most 32.
        headers: Headers,
        /// http, https: good status codes, as 200 or "200-299", one or a list. Default: 200-299, 301, 302, 401.
        status: OneOrMany<StatusSpan>,
        /// http, https: a regular expression that is found in the body.
        body: Text = at_most_one_of("body"),
        /// http, https: a text that is found in the body, in place of `body`.
        body_contains: Text = at_most_one_of("body"),
        /// http, https: so many bytes of the body are read for that: 1 to 1MiB. Default: 64KiB.
        body_limit: Size<1_048_576>,
        /// https, tls, smtp: the certificate is verified. Default: false, or true with a `ca_file`.
        verify: bool,
        /// https, tls, smtp: file with the authorities to verify by, in PEM. Default: those that the system trusts.
        ca_file: AbsolutePath,
        /// https, tls, smtp: the server name that is asked for, and that a verified certificate must have. Default:
        /// `host` if it is a name, else none.
        sni: Text,
        /// https, tls, smtp: a certificate that ends within this time passes with a note: 1h to 365d. Default: no
        /// note.
        expiry_warning: Period<3_600_000, 31_536_000_000>,
        /// smtp: the name that the probe greets with. Default: director.localdomain.
        helo: Text,
        /// smtp: TLS is spoken after STARTTLS, which the server must offer. Default: false.
        starttls: bool,
        /// smtp: TLS is spoken from the first byte, as on port 465. Default: false.
        tls: bool,
        /// rdp: a refused negotiation is always a failure. Default: false.
        strict: bool,
        /// rdp: user name in the routing cookie. Default: no cookie.
        cookie: Text,
        /// dns: the name that is asked for. Default: the root, ".".
        query: Text,
        /// dns: the record type that is asked for. Default: A, of the root SOA.
        record: RecordType,
        /// dns: good response codes, one or a list. Default: NOERROR.
        rcode: OneOrMany<Rcode>,
        /// dns: data that one of the answer's records has, as zone files have it. Default: any answer will do.
        answer: Text,
        /// udp: the text that is sent. Default: an empty datagram.
        send: Text = at_most_one_of("send"),
        /// udp: the bytes that are sent, in hexadecimal, in place of `send`.
        send_hex: Hex = at_most_one_of("send"),
        /// udp: how the reply begins, as text. Default: any reply will do.
        expect: Text = at_most_one_of("expect"),
        /// udp: how the reply begins, in hexadecimal, in place of `expect`.
        expect_hex: Hex = at_most_one_of("expect"),
        /// udp: whether there must be a reply: required, or optional. Default: required.
        reply: Reply,
        /// exec: the program, an absolute path, and its arguments; %h is the address, %p the port, %% a percent
        /// sign. At most 64.
        command: List<Argument>,
        /// exec: the user that the program runs as. Default: nobody.
        user: Text,
        /// exec: what the program's exit status means, weight or nagios. Default: weight.
        exit: Exit,
    }
}

choice! {
    /// What a probe tries.
    ProbeType {
        Tcp = "tcp",
        Tls = "tls",
        Http = "http",
        Https = "https",
        Smtp = "smtp",
        Rdp = "rdp",
        Dns = "dns",
        Udp = "udp",
        Icmp = "icmp",
        Exec = "exec",
    }
}

choice! {
    /// What a server is before its first verdict.
    Start {
        Up = "up",
        Down = "down",
        Unknown = "unknown",
    }
}

choice! {
    /// Whether a datagram must be answered.
    Reply {
        Required = "required",
        Optional = "optional",
    }
}

//! The farms: who stands on which network, with which addresses.

use crate::{Client, Director, Host, Result, Server, eventually};
use std::fmt::Write;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The namespace of both switches.
pub(crate) const SWITCH: &str = "switch";

/// The directors, and the last numbers of their addresses; those between belong to VIPs.
const DIRECTORS: [(&str, u8); 3] = [("lb1", 33), ("lb2", 34), ("lb3", 38)];

/// The TCP ports of the Exchange service.
pub const EXCHANGE_PORTS: [u16; 7] = [25, 80, 443, 465, 587, 717, 2525];

/// The Exchange farm's VIP.
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 35));

/// The Exchange farm's VIP, IPv6.
pub const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x35));

/// A running farm: one host for all clients, two directors' hosts and the real servers' hosts, with addresses and
/// cables but nothing running on them yet.
///
/// Beside its own address 192.168.1.1 (fd00:1::1), the client has 192.168.1.101 to 192.168.1.116 (fd00:1::101 to
/// fd00:1::116), and may use any address of [`Self::REMOTE`] as its source: it is the directors' default route, so
/// these stand for clients anywhere.
#[derive(Debug)]
pub struct Lab {
    client: Client,
    directors: Vec<Host>,
    servers: Vec<Host>,
}

impl Lab {
    /// Networks beyond the router, all of whose addresses the client may use.
    pub const REMOTE: [&str; 4] = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:1::/64", "2001:db8:2::/64"];

    /// The Exchange farm: real servers `exchange1` (10.0.1.1, fd00:2::1) and `exchange2` (10.0.1.2, fd00:2::2).
    ///
    /// # Errors
    /// A command failed.
    pub fn exchange() -> Result<Self> {
        Self::new(&["exchange1", "exchange2"])
    }

    /// The same networks with other real servers: the first gets 10.0.1.1 and fd00:2::1, and so on. At most 32.
    ///
    /// # Errors
    /// A command failed.
    pub fn new(servers: &[&str]) -> Result<Self> {
        Self::with(2, servers)
    }

    /// As [`Self::new`], with so many directors, of three at most: `lb3` is 192.168.1.38 and 10.0.1.38.
    ///
    /// # Errors
    /// A command failed.
    pub fn with(directors: usize, servers: &[&str]) -> Result<Self> {
        let directors: Vec<&str> = DIRECTORS.iter().take(directors).map(|(name, _)| *name).collect();
        let all: Vec<&str> = [SWITCH, "client"].iter().chain(&directors).chain(servers).copied().collect();
        let switch = Host::new(SWITCH);
        let mut batch = String::new();
        for name in &all {
            let _ = writeln!(batch, "netns add {name}");
        }
        batched(&Host::sandbox(), &batch)?;
        for name in &all {
            prepare(&Host::new(name))?;
        }
        if switch.has("net.bridge.bridge-nf-call-iptables")? {
            for family in ["iptables", "ip6tables", "arptables"] {
                switch.set(&format!("net.bridge.bridge-nf-call-{family}"), "0")?;
            }
        }

        let mut cables = String::new();
        for bridge in ["public", "private"] {
            let _ = writeln!(cables, "link add name {bridge} type bridge mcast_snooping 0");
            let _ = writeln!(cables, "link set dev {bridge} up");
        }
        let mut cable = |host: &str, interface: &str, bridge: &str| {
            let port = switch_port(host, interface);
            let _ = writeln!(cables, "link add name {port} type veth peer name {interface} netns {host}");
            let _ = writeln!(cables, "link set dev {port} master {bridge} up");
        };
        cable("client", "eth0", "public");
        for director in &directors {
            cable(director, "eth0", "public");
            cable(director, "eth1", "private");
        }
        for server in servers {
            cable(server, "eth0", "private");
        }
        batched(&switch, &cables)?;
        let cables = cables.matches(" master ").count();

        let client = Client::new(Host::new("client"));
        client.host().set("net.ipv6.ip_nonlocal_bind", "1")?;
        batched(client.host(), &client_addresses())?;
        for (director, number) in directors.iter().zip(numbers()) {
            batched(
                &Host::new(director),
                &format!(
                    "link set dev eth0 up\nlink set dev eth1 up\n\
                     address add 192.168.1.{number}/24 dev eth0\naddress add fd00:1::{number}/64 dev eth0 nodad\n\
                     address add 10.0.1.{number}/24 dev eth1\naddress add fd00:2::{number}/64 dev eth1 nodad\n\
                     route add default via 192.168.1.1\nroute add default via fd00:1::1\n"
                ),
            )?;
        }
        for (server, number) in servers.iter().zip(1..) {
            batched(
                &Host::new(server),
                &format!(
                    "link set dev eth0 up\n\
                     address add 10.0.1.{number}/24 dev eth0\naddress add fd00:2::{number}/64 dev eth0 nodad\n\
                     route add default via 10.0.1.254\nroute add default via fd00:2::254\n"
                ),
            )?;
        }
        // The kernel tells bridges of carriers once a second.
        eventually(Duration::from_secs(10), "the switches forward", || {
            let ports = switch.run("bridge link show").unwrap_or_default();
            ports.matches("state forwarding").count() == cables
        })?;
        let hosts = |names: &[&str]| names.iter().map(|name| Host::new(name)).collect();
        Ok(Self { client, directors: hosts(&directors), servers: hosts(servers) })
    }

    /// The clients' host.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The directors' hosts: `lb1` (192.168.1.33, 10.0.1.33, fd00:1::33, fd00:2::33) and `lb2` (34).
    #[must_use]
    pub fn directors(&self) -> &[Host] {
        &self.directors
    }

    /// The real servers' hosts.
    #[must_use]
    pub fn servers(&self) -> &[Host] {
        &self.servers
    }

    /// The host with that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        Host::new(name)
    }

    /// Starts a [`Server`] on every real server's host, in their order.
    ///
    /// # Errors
    /// A port could not be opened.
    pub fn start_servers(&self) -> Result<Vec<Server>> {
        self.servers.iter().map(Server::start).collect()
    }

    /// A configuration for these directors and real servers, IPv4 and IPv6; `rest` has the services and whatever
    /// else is wanted, and may be indented as a whole.
    #[must_use]
    pub fn configuration(&self, rest: &str) -> String {
        let mut text = String::from("version: 1\nnodes:\n");
        for (director, number) in self.directors.iter().zip(numbers()) {
            let _ = writeln!(
                text,
                "  {}:\n    public: {{ interface: eth0, addresses: [192.168.1.{number}/24, \"fd00:1::{number}/64\"] }}\n    \
                 private: {{ interface: eth1, addresses: [10.0.1.{number}/24, \"fd00:2::{number}/64\"] }}",
                director.name()
            );
        }
        text.push_str("gateway: [10.0.1.254, \"fd00:2::254\"]\nservers:\n");
        for (server, number) in self.servers.iter().zip(1..) {
            let _ = writeln!(
                text,
                "  {}: {{ addresses: [10.0.1.{number}, \"fd00:2::{number}\"] }}",
                server.name()
            );
        }
        text + &unindented(rest)
    }

    /// Makes the client a router, and puts a branch office behind it: a client at 192.0.2.2 and 2001:db8:9::2 to
    /// which the router sends packets of at most `mtu` bytes.
    ///
    /// # Errors
    /// A command failed.
    pub fn open_branch(&self, mtu: u16) -> Result<Client> {
        let (router, branch) = (self.client.host(), Host::new("branch"));
        batched(&Host::sandbox(), "netns add branch\n")?;
        prepare(&branch)?;
        batched(
            router,
            &format!(
                "link add name branch type veth peer name eth0 netns branch\n\
                 link set dev branch up\n\
                 address add 192.0.2.1/24 dev branch\naddress add 2001:db8:9::1/64 dev branch nodad\n\
                 route replace 192.0.2.0/24 dev branch mtu lock {mtu}\n\
                 route replace 2001:db8:9::/64 dev branch metric 256 mtu lock {mtu}\n"
            ),
        )?;
        batched(
            &branch,
            "link set dev eth0 up\n\
             address add 192.0.2.2/24 dev eth0\naddress add 2001:db8:9::2/64 dev eth0 nodad\n\
             route add default via 192.0.2.1\nroute add default via 2001:db8:9::1\n",
        )?;
        router.set("net.ipv4.ip_forward", "1")?;
        router.set("net.ipv6.conf.all.forwarding", "1")?;
        Ok(Client::new(branch))
    }

    /// Puts the farm to work: a [`Server`] on every real server's host, and lb1 with [`Self::configuration`] of
    /// `rest`. The servers stop when dropped.
    ///
    /// # Errors
    /// As for [`Self::start_servers`] and [`Self::start_director`].
    pub fn serve(self, rest: &str) -> Result<(Self, Director, Vec<Server>)> {
        let servers = self.start_servers()?;
        let director = self.start_director("lb1", &self.configuration(rest))?;
        Ok((self, director, servers))
    }

    /// Waits until all that the real servers have sent is acknowledged: a late acknowledgement that meets a host
    /// without its ruleset ends the connection.
    ///
    /// # Errors
    /// It is not within 10 seconds.
    pub fn settle(&self) -> Result<()> {
        let acknowledged = |server: &Host| {
            server.run("ss -Htin state established").is_ok_and(|sockets| !sockets.contains("unacked:"))
        };
        eventually(Duration::from_secs(10), "late acknowledgements have come", || {
            self.servers.iter().all(acknowledged)
        })
    }

    /// Starts the director binary on the host `name`, with that configuration, and waits until it serves.
    ///
    /// # Errors
    /// It does not start, or does not answer within a few seconds.
    pub fn start_director(&self, name: &str, configuration: &str) -> Result<Director> {
        let mut director = Director::new(Host::new(name), configuration)?;
        director.start()?;
        Ok(director)
    }
}

/// A [`Lab::configuration`] without one of its real servers, which a service lists as `NAME: {}` beside others.
#[must_use]
pub fn without_server(configuration: &str, name: &str) -> String {
    let definition = format!("  {name}: {{ addresses:");
    let kept = configuration.lines().filter(|line| !line.starts_with(&definition));
    let text: String = kept.map(|line| format!("{line}\n")).collect();
    text.replace(&format!("{name}: {{}}, "), "").replace(&format!(", {name}: {{}}"), "")
}

/// Reads addresses, for tests to name them.
///
/// # Errors
/// A text is no address.
pub fn addresses(texts: &[&str]) -> std::result::Result<Vec<IpAddr>, AddrParseError> {
    texts.iter().map(|text| text.parse()).collect()
}

impl Host {
    /// The public IPv4 address of a director's host.
    #[must_use]
    pub fn public_address(&self) -> IpAddr {
        let number = DIRECTORS.iter().find(|(name, _)| *name == self.name()).map_or(0, |(_, number)| *number);
        Ipv4Addr::new(192, 168, 1, number).into()
    }
}

/// The last numbers of the directors' addresses.
fn numbers() -> impl Iterator<Item = u8> {
    DIRECTORS.iter().map(|(_, number)| *number)
}

/// The switch's end of a cable.
pub(crate) fn switch_port(host: &str, interface: &str) -> String {
    format!("{host}-{}", interface.trim_start_matches("eth"))
}

/// The host and interface at the other end of one of the switch's cables.
pub(crate) fn cable_end(port: &str) -> Option<(String, String)> {
    let (host, number) = port.rsplit_once('-')?;
    Some((host.to_owned(), format!("eth{number}")))
}

/// The lines without the indentation that all of them have.
fn unindented(text: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let common = lines().map(indentation).min().unwrap_or(0);
    lines().map(|line| format!("{}\n", &line[common..])).collect()
}

/// Settings that hold from the first interface on: no waiting for duplicate address detection, no filter by the
/// way back (replies to remote clients leave by the default route), plenty of source ports and room for bursts.
fn prepare(host: &Host) -> Result<()> {
    for scope in ["all", "default"] {
        host.set(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "0")?;
        host.set(&format!("net.ipv6.conf.{scope}.accept_dad"), "0")?;
        host.set(&format!("net.ipv6.conf.{scope}.accept_ra"), "0")?;
        host.set(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
    }
    host.set("net.ipv4.ip_local_port_range", "1024 65535")?;
    host.set("net.core.somaxconn", "4096")?;
    // Many short connections from one process look like an attack otherwise.
    host.set("net.ipv4.tcp_max_syn_backlog", "4096")?;
    // Refusals are counted one by one; the kernel would hold most of them back.
    host.set("net.ipv4.icmp_ratelimit", "0")?;
    host.set("net.ipv6.icmp.ratelimit", "0")?;
    host.run("ip link set dev lo up").map(drop)
}

fn client_addresses() -> String {
    let mut batch = String::from("link set dev eth0 up\naddress add 192.168.1.1/24 dev eth0\n");
    batch.push_str("address add fd00:1::1/64 dev eth0 nodad\n");
    for number in 101..=116 {
        let _ = writeln!(batch, "address add 192.168.1.{number}/24 dev eth0");
        let _ = writeln!(batch, "address add fd00:1::{number}/64 dev eth0 nodad");
    }
    for network in Lab::REMOTE {
        let _ = writeln!(batch, "route add local {network} dev lo");
    }
    batch
}

/// Runs lines of `ip`.
fn batched(host: &Host, lines: &str) -> Result<()> {
    host.feed("ip -batch -", lines).map(drop)
}

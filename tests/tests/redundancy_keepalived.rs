//! A director and keepalived share addresses, each of them Active in its turn.

mod farm;

use farm::{ADMIN, GATEWAY, GATEWAY6, LIMIT, adverts, ipv6, pair, position, reigns};
use lab::capture::listed;
use lab::farm::{VIP, VIP6};
use lab::{Capture, Director, Family, Host, Keepalived, Lab, Server, eventually, keepalived};
use std::net::IpAddr;

/// How adverts go.
#[derive(Debug, Clone, Copy)]
struct Way {
    family: Family,
    multicast: bool,
}

const UNICAST: Way = Way { family: Family::V4, multicast: false };
const MULTICAST: Way = Way { family: Family::V4, multicast: true };
const UNICAST6: Way = Way { family: Family::V6, multicast: false };
const MULTICAST6: Way = Way { family: Family::V6, multicast: true };

impl Way {
    /// The director on lb1.
    fn director(self, lab: &Lab, priority: u8, preempt: &str) -> String {
        let mode = if self.multicast { "multicast" } else { "unicast" };
        let lines = format!("mode: {mode}\nchecksum: rfc5798\npreempt: {preempt}");
        match self.family {
            Family::V4 => lab.configuration(&pair(&lines).replace("lb1: 150", &format!("lb1: {priority}"))),
            Family::V6 => {
                ipv6(&format!("interval: 100ms\npriority: {{ lb1: {priority}, lb2: 100 }}\n{lines}"))
            }
        }
        .replace("100ms", "200ms")
    }

    /// keepalived on lb2, with all that the director has.
    fn keepalived(self, priority: u8) -> String {
        let [public, private] = match self.family {
            Family::V4 => [
                ("192.168.1.", "192.168.1.35\n192.168.1.36", "fd00:1::35"),
                ("10.0.1.", "10.0.1.254", "fd00:2::254"),
            ],
            Family::V6 => [("fd00:1::", "fd00:1::35", ""), ("fd00:2::", "fd00:2::254", "")],
        };
        let instance = |name, interface, (network, addresses, excluded): (&str, &str, &str)| {
            // By itself it sends 64 over IPv6, where RFC 9568 wants 255.
            let unicast =
                format!("unicast_ttl 255\nunicast_src_ip {network}34\nunicast_peer {{\n{network}33\n}}");
            format!(
                "vrrp_instance {name} {{
                    interface {interface}
                    state BACKUP
                    virtual_router_id 51
                    priority {priority}
                    advert_int 0.2
                    {}
                    virtual_ipaddress {{
                        {addresses}
                    }}
                    virtual_ipaddress_excluded {{
                        {excluded}
                    }}
                }}\n",
                if self.multicast { "" } else { &unicast }
            )
        };
        format!(
            "global_defs {{
                vrrp_version 3
                vrrp_garp_master_delay 1
            }}
            vrrp_sync_group farm {{
                group {{
                    public
                    private
                }}
            }}
            {}{}",
            instance("public", "eth0", public),
            instance("private", "eth1", private)
        )
    }

    /// What moves.
    fn addresses(self) -> &'static [IpAddr] {
        self.family.choose(&[VIP, ADMIN, GATEWAY], &[VIP6, GATEWAY6])
    }
}

/// One beside the other; neither runs yet.
struct Both {
    way: Way,
    lab: Lab,
    director: Director,
    keepalived: Keepalived,
    capture: Capture,
    _servers: Vec<Server>,
}

impl Both {
    fn new(way: Way, director: (u8, &str), keepalived: u8) -> lab::Result<Self> {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = lab.directors() else { unreachable!("the farm has two directors") };
        let servers = lab.start_servers()?;
        let capture = Capture::start()?;
        let director = Director::new(lb1.clone(), &way.director(&lab, director.0, director.1))?;
        let keepalived = Keepalived::new(lb2.clone(), &way.keepalived(keepalived))?;
        Ok(Self { way, lab, director, keepalived, capture, _servers: servers })
    }

    /// Waits until that host has all the addresses, and the other one none; clients get through then.
    fn active_is(&self, name: &str) -> lab::Outcome {
        let has = |host: &Host, wanted| {
            let held = |&address| host.has_address(address).is_ok_and(|has| has == wanted);
            self.way.addresses().iter().all(held)
        };
        eventually(LIMIT, &format!("{name} has the addresses, alone"), || {
            self.lab.directors().iter().all(|host| has(host, host.name() == name))
        })?;
        if name == "lb1" {
            self.director.turns("active")?;
        }
        farm::answers(&self.lab, self.way.family.vip())?;
        Ok(())
    }

    /// Takes off what keepalived leaves when it is killed.
    fn clean(&self) -> lab::Result<()> {
        let lb2 = &self.lab.directors()[1];
        for (interface, address) in
            [("eth0", VIP), ("eth0", ADMIN), ("eth0", VIP6), ("eth1", GATEWAY), ("eth1", GATEWAY6)]
        {
            lb2.run(&format!("ip address flush dev {interface} to {address}"))?;
        }
        Ok(())
    }
}

/// The director is the better one.
fn director_first(way: Way) -> lab::Outcome {
    let mut both = Both::new(way, (150, "always"), 100)?;
    both.director.start()?;
    both.keepalived.start()?;
    both.active_is("lb1")?;
    let heard = |words: &str, times| both.keepalived.log().matches(words).count() >= times;
    eventually(LIMIT, "keepalived is Backup", || heard("(public) Entering BACKUP STATE", 1))?;

    both.director.kill()?;
    eventually(LIMIT, "keepalived takes over", || heard("(public) Entering MASTER STATE", 1))?;
    both.director.start()?;
    both.active_is("lb1")?;

    both.director.stop()?;
    both.active_is("lb2")?;
    position(&both.capture.frames()?, |frame| adverts(frame, "lb1", 0))?;

    both.director.start()?;
    both.active_is("lb1")?;
    both.keepalived.stop()?;
    both.active_is("lb1")?;
    let frames = both.capture.frames()?;
    assert_eq!(reigns(&frames), ["lb1", "lb2", "lb1", "lb2", "lb1"], "{}", listed(&frames));
    let log = both.keepalived.log();
    for complaint in ["hecksum", "mismatch", "expected", "differ", "ignor", "Dropp", "nvalid"] {
        assert!(!log.contains(complaint), "{complaint}:\n{log}");
    }
    Ok(())
}

/// keepalived is the better one.
fn keepalived_first(way: Way) -> lab::Outcome {
    let mut both = Both::new(way, (100, "always"), 150)?;
    both.keepalived.start()?;
    both.director.start()?;
    both.active_is("lb2")?;
    both.director
        .shows("it hears keepalived", |it| it["role"] == "backup" && it["active"]["priority"] == 150)?;

    both.keepalived.kill()?;
    both.director.turns("active")?;
    both.clean()?;
    both.active_is("lb1")?;
    both.keepalived.start()?;
    both.active_is("lb2")?;

    // It says that it leaves.
    both.keepalived.stop()?;
    both.active_is("lb1")?;
    position(&both.capture.frames()?, |frame| adverts(frame, "lb2", 0))?;
    both.keepalived.start()?;
    both.active_is("lb2")?;
    let frames = both.capture.frames()?;
    let mut reigns = reigns(&frames);
    // Nobody has said who comes first at the start.
    reigns.drain(..reigns.len().saturating_sub(5));
    assert_eq!(reigns, ["lb2", "lb1", "lb2", "lb1", "lb2"], "{}", listed(&frames));
    let status = both.director.redundancy()?;
    let discards = status["discards"].as_object();
    assert!(discards.into_iter().flatten().all(|(_, count)| count == 0), "{status:#}");
    assert!(
        status["links"].as_array().is_some_and(|it| it.iter().all(|it| it["silent"] == false)),
        "{status:#}"
    );
    Ok(())
}

macro_rules! ways {
    ($($name:ident: $way:ident),+) => {$(
        mod $name {
            #[test]
            fn a_better_director() {
                lab::test_with(&[lab::keepalived::NEED], || super::director_first(super::$way));
            }

            #[test]
            fn a_better_keepalived() {
                lab::test_with(&[lab::keepalived::NEED], || super::keepalived_first(super::$way));
            }
        }
    )+};
}

ways!(unicast: UNICAST, multicast: MULTICAST, unicast6: UNICAST6, multicast6: MULTICAST6);

#[test]
fn neither_takes_from_the_other_if_told_so() {
    lab::test_with(&[keepalived::NEED], || {
        let mut both = Both::new(UNICAST, (100, "never"), 150)?;
        let nopreempt = UNICAST.keepalived(150).replace("state BACKUP", "state BACKUP\nnopreempt");
        both.keepalived.configure(&nopreempt)?;
        both.director.start()?;
        both.active_is("lb1")?;
        both.keepalived.start()?;
        let heard = |both: &Both, words: &str| both.keepalived.log().contains(words);
        eventually(LIMIT, "keepalived is Backup", || heard(&both, "(public) Entering BACKUP STATE"))?;
        let adverts_of = |host, priority| {
            let frames = both.capture.frames().unwrap_or_default();
            frames.iter().filter(|it| it.interface == "eth0" && adverts(it, host, priority)).count()
        };
        let so_far = adverts_of("lb1", 100);
        eventually(LIMIT, "the director goes on", || adverts_of("lb1", 100) > so_far + 10)?;
        both.active_is("lb1")?;
        Ok(())
    });
}

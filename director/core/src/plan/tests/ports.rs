//! Closed ports are refused, and only they.

use super::*;
use crate::model::PortRange;
use crate::ports::{PortSelection, PortState, subtract};

/// `web` has tcp and udp 80 and 1000-1010 of its IPv4 VIP; `exchange` both families.
impl Farm {
    fn port(&mut self, service: &str, ports: &str, state: Option<PortState>) {
        let ports = ports.parse::<PortSelection>().unwrap().of(&self.model.services[service]).unwrap();
        let states = self.ports.entry(service.to_owned()).or_default();
        *states = states.with(&ports, state).unwrap();
        self.apply();
    }
}

#[test]
fn closed_ports_are_refused_and_their_neighbours_go_on() {
    let mut farm = Farm::new(FARM);
    farm.port("exchange", "80", Some(PortState::Drained));
    farm.port("web", "udp/80", Some(PortState::Disabled));
    farm.port("web", "tcp/1003-1005", Some(PortState::Drained));
    let table: &[(&str, &str, u8, u16, bool)] = &[
        ("203.0.113.1", "192.168.1.35", TCP, 80, false),
        ("203.0.113.1", "192.168.1.35", TCP, 443, true),
        ("2001:db8::1", "fd00:1::35", TCP, 80, false),
        ("2001:db8::1", "fd00:1::35", TCP, 443, true),
        ("203.0.113.1", "192.168.1.38", TCP, 80, true),
        ("203.0.113.1", "192.168.1.38", UDP, 80, false),
        ("203.0.113.1", "192.168.1.38", TCP, 1002, true),
        ("203.0.113.1", "192.168.1.38", TCP, 1003, false),
        ("203.0.113.1", "192.168.1.38", TCP, 1005, false),
        ("203.0.113.1", "192.168.1.38", TCP, 1006, true),
        ("203.0.113.1", "192.168.1.38", UDP, 1004, true),
    ];
    for (client, vip, protocol, port, open) in table {
        let goes = farm.goes(client, vip, *protocol, *port);
        let refused = if *protocol == TCP { "reset" } else { "unreachable" };
        assert_eq!(goes != refused, *open, "{vip} {protocol} {port}: {goes}");
        assert_ne!(goes, "director", "{vip} {protocol} {port}");
    }
    let vips = &farm.ruleset().maps["vips4"].elements;
    assert_eq!(vips.len(), Farm::new(FARM).ruleset().maps["vips4"].elements.len(), "closing takes no room");

    for service in ["exchange", "web"] {
        farm.port(service, "80", None);
    }
    farm.port("web", "1000-1010", Some(PortState::Enabled));
    assert_eq!(farm.ruleset(), Farm::new(FARM).ruleset());
}

#[test]
fn ports_that_the_file_disables_are_refused_until_they_are_enabled() {
    let text = FARM.replace("    mark: 80\n", "    mark: 80\n    disabled_ports: {tcp: 25}\n");
    let mut farm = Farm::new(&text);
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "reset");
    farm.port("exchange", "25", Some(PortState::Enabled));
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "10.0.1.1");
    farm.port("exchange", "25", None);
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "reset");
}

#[test]
fn no_client_proves_itself_to_a_closed_port() {
    let text = FARM.replace("    mark: 80\n", "    mark: 80\n    syn_protection: true\n");
    let mut farm = Farm::new(&text.replace("    mark: 0x51\n", "    mark: 0x51\n    syn_protection: true\n"));
    let own = ["192.168.1.35", "192.168.1.38", "fd00:1::35"];
    farm.tracer = farm.tracer.clone().with_own(own.map(|address| address.parse().unwrap()));
    farm.port("exchange", "80", Some(PortState::Drained));
    farm.port("web", "tcp/1003-1005", Some(PortState::Disabled));
    for (vip, port, expected) in [
        ("192.168.1.35", 80, "reset"),
        ("192.168.1.35", 443, "synproxy"),
        ("192.168.1.38", 1002, "synproxy"),
        ("192.168.1.38", 1004, "reset"),
        ("192.168.1.38", 1006, "synproxy"),
    ] {
        assert_eq!(farm.goes("203.0.113.1", vip, TCP, port), expected, "{vip} {port}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is opened and closed: each port of the service leads somewhere, the closed ones to their refusal,
    /// and its part, changed on its own, is what planning everything anew makes.
    #[test]
    fn open_and_closed_ports_are_all_ports(
        changes in prop::collection::vec((998_u16..1011, 0_u16..6, prop::option::of(0_usize..3)), 1..8),
    ) {
        let mut farm = Farm::new(FARM);
        let mut kernel = Fake::new();
        kernel.apply(&diff(&kernel.observe(), &farm.ruleset())).unwrap();
        let part = |farm: &Farm| service(&farm.layout, &farm.model.services["web"], &farm.registry, &farm.offers["web"]);
        for (first, more, state) in changes {
            let before = part(&farm);
            let (first, last) = (first.max(1000), (first + more).clamp(1000, 1010));
            let state = state.map(|it| [PortState::Enabled, PortState::Drained, PortState::Disabled][it]);
            farm.port("web", &format!("{first}-{last}"), state);
            kernel.apply(&diff(&Observed::from(&before), &part(&farm))).unwrap();
            prop_assert_eq!(kernel.ruleset(), &farm.ruleset());
            let closed = farm.offers["web"].closed_ports.clone();
            let open = subtract(&farm.model.services["web"].ports, &closed);
            for (protocol, refused) in [(TCP, "reset"), (UDP, "unreachable")] {
                for port in (1000..=1010).chain([80]) {
                    let holds = |ranges: &[PortRange]| ranges.iter().any(|it| {
                        it.protocol.number() == protocol && (it.first..=it.last).contains(&port)
                    });
                    let goes = farm.goes("203.0.113.1", "192.168.1.38", protocol, port);
                    prop_assert_eq!((goes == refused, goes != refused), (holds(&closed), holds(&open)), "{} {}", port, goes);
                }
            }
        }
    }
}

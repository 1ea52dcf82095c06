use super::*;
use crate::sample;
use director_core::model::Network;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use sync::vrrp::authentication::Keyring;
use sync::vrrp::machine::Preempt;
use sync::vrrp::packet::Checksum;
use sync::vrrp::timing::Interval;

fn addresses(wanted: &[(&str, &str)]) -> Addresses {
    let placed = |&(address, interface): &(&str, &str)| (address.parse().unwrap(), interface.to_owned());
    Addresses { wanted: wanted.iter().map(placed).collect(), ..Addresses::default() }
}

fn farm() -> Addresses {
    addresses(&[
        ("192.168.1.35", "eth0"),
        ("192.168.1.36", "eth0"),
        ("fd00:1::35", "eth0"),
        ("10.0.1.254", "eth1"),
    ])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `router` as that node sees it.
fn seen_by(router: &Router, node: &str) -> View {
    View::new(&Router { node: node.to_owned(), ..router.clone() }, &farm()).unwrap()
}

#[test]
fn a_pair_adverts_to_each_other_on_both_sides() {
    let view = seen_by(&sample::router(), "lb1");
    let [public, private] = &view.paths[..] else { panic!("two links") };
    assert_eq!((public.link, public.side, public.interface.as_str()), (Link(0), Side::Public, "eth0"));
    assert_eq!((private.link, private.side, private.interface.as_str()), (Link(1), Side::Private, "eth1"));
    assert_eq!(public.channel.local, ip("192.168.1.33"));
    assert_eq!(public.destinations, [ip("192.168.1.34")]);
    assert_eq!((private.channel.peers.clone(), private.channel.anybody), ([ip("10.0.1.34")].into(), false));
    assert_eq!(public.channel.addresses.to_vec(), [ip("192.168.1.35"), ip("192.168.1.36")]);
    assert_eq!(private.channel.addresses.to_vec(), [ip("10.0.1.254")]);
    assert_eq!((view.settings.priority.get(), view.settings.address), (150, ip("192.168.1.33")));
    assert_eq!(view.settings.peers, Peers::One);
    assert_eq!(view.roster.peers["lb2"], [ip("192.168.1.34"), ip("10.0.1.34")]);
}

#[test]
fn a_node_is_known_by_its_address_on_the_first_link() {
    let mut router = sample::router();
    let [_, private] = &seen_by(&router, "lb1").paths[..] else { panic!("two links") };
    assert_eq!(private.sender(ip("10.0.1.34")), ip("192.168.1.34"));
    assert_eq!(private.sender(ip("10.0.1.99")), ip("10.0.1.99"), "strangers are known as they are");

    Arc::make_mut(&mut router.settings).links.reverse();
    let view = seen_by(&router, "lb1");
    assert_eq!(view.settings.address, ip("10.0.1.33"));
    assert_eq!(view.paths[1].sender(ip("192.168.1.34")), ip("10.0.1.34"));
}

#[test]
fn on_a_group_anybody_may_speak_unless_adverts_are_signed() {
    let mut router = sample::router();
    Arc::make_mut(&mut router.settings).mode = Mode::Multicast;
    let view = seen_by(&router, "lb1");
    assert_eq!(
        (view.paths[0].destinations.as_slice(), view.paths[0].channel.anybody),
        (&[ip("224.0.0.18")][..], true)
    );
    assert_eq!(view.settings.peers, Peers::Several);
    let key = sync::vrrp::authentication::Key::new(1, &[7; 32]).unwrap();
    router.keyring = Some(Keyring::new(key, None).unwrap());
    assert_eq!(seen_by(&router, "lb1").settings.peers, Peers::One);
}

#[test]
fn what_the_file_says_reaches_the_state_machine_and_the_links() {
    let mut router = sample::router();
    let key = sync::vrrp::authentication::Key::new(1, &[7; 32]).unwrap();
    router.keyring = Some(Keyring::new(key, None).unwrap());
    let interval = Interval::from_centiseconds(20).unwrap();
    let settings = Arc::make_mut(&mut router.settings);
    (settings.preempt, settings.starts_active, settings.interval) = (Preempt::Always, true, interval);
    settings.preempt_delay = Duration::from_secs(7);
    settings.startup_delay = Duration::from_secs(8);
    settings.checksum = Checksum::Rfc5798;
    let view = seen_by(&router, "lb2");
    let expected = Settings {
        priority: Priority::DEFAULT,
        address: ip("192.168.1.34"),
        interval,
        preempt: Preempt::Always,
        preempt_delay: Duration::from_secs(7),
        startup_delay: Duration::from_secs(8),
        starts_active: true,
        peers: Peers::One,
        links: [Link(0), Link(1)].into(),
    };
    assert_eq!(view.settings, expected);
    for channel in view.paths.into_iter().map(|path| path.channel) {
        assert_eq!(
            (channel.vrid.get(), channel.interval, channel.checksum),
            (51, interval, Checksum::Rfc5798)
        );
        assert_eq!(channel.accept, Accept::Either, "the peer may be of another opinion");
        assert!(channel.keyring.is_some());
    }
}

#[test]
fn with_a_virtual_mac_adverts_list_what_its_interfaces_carry() {
    let mut router = sample::router();
    Arc::make_mut(&mut router.settings).virtual_mac = true;
    let placed = [("192.168.1.35", "vrrp51-pub"), ("192.168.1.36", "eth0"), ("10.0.1.254", "vrrp51-prv")];
    let view = View::new(&router, &addresses(&placed)).unwrap();
    let listed = view.paths.iter().map(|path| (&*path.interface, path.channel.addresses.to_vec()));
    let expected = [("eth0", vec![ip("192.168.1.35")]), ("eth1", vec![ip("10.0.1.254")])];
    assert_eq!(listed.collect::<Vec<_>>(), expected);
}

#[test]
fn a_link_without_addresses_of_its_family_lists_the_senders() {
    let router = sample::router();
    let view = View::new(&router, &addresses(&[("fd00:1::35", "eth0")])).unwrap();
    for path in view.paths {
        assert_eq!(path.channel.addresses.to_vec(), [path.channel.local]);
    }
}

#[test]
fn an_advert_lists_no_more_than_it_can() {
    let many = (0..=255_u8).flat_map(|low| [(0, low), (1, low)]);
    let wanted = many.map(|(high, low)| (IpAddr::from([192, 168, high, low]), "eth0".to_owned())).collect();
    let view = View::new(&sample::router(), &Addresses { wanted, ..Addresses::default() }).unwrap();
    assert_eq!(view.paths[0].channel.addresses.to_vec().len(), 255);
}

#[test]
fn without_a_common_family_there_is_no_link() {
    let mut router = sample::router();
    let nodes = Arc::make_mut(&mut router.nodes);
    nodes.get_mut("lb2").unwrap().private.addresses = vec![Network::new(ip("fd00:2::34"), 64).unwrap()];
    let error = View::new(&router, &farm()).unwrap_err();
    assert_eq!(error, ViewError::NoFamily(Side::Private));
    assert_eq!(error.to_string(), "the nodes have no addresses of the same family on the private side");
}

/// Up to four nodes, with addresses of both families in any order.
fn routers() -> impl Strategy<Value = Router> {
    let side = || proptest::collection::vec(any::<bool>(), 1..4);
    let nodes = proptest::collection::vec((side(), side()), 1..5);
    (nodes, any::<bool>(), any::<bool>(), 1..3_usize).prop_map(|(sides, reversed, multicast, links)| {
        let mut router = sample::router();
        let model = router.nodes["lb1"].clone();
        let own = |families: &[bool], subnet: u8, node: usize| {
            let address = |(number, &v4): (usize, &bool)| {
                let host = u8::try_from(10 * node + number).unwrap();
                let v6 = format!("fd00:{subnet}::{host:x}");
                if v4 { IpAddr::from([10, 0, subnet, host]) } else { v6.parse().unwrap() }
            };
            let network =
                |address: IpAddr| Network::new(address, if address.is_ipv4() { 24 } else { 64 }).unwrap();
            families.iter().enumerate().map(address).map(network).collect::<Vec<_>>()
        };
        let nodes = sides.iter().enumerate().map(|(number, (public, private))| {
            let mut node = model.clone();
            node.name = format!("lb{number}");
            node.public.addresses = own(public, 1, number);
            node.private.addresses = own(private, 2, number);
            (node.name.clone(), node)
        });
        router.nodes = Arc::new(nodes.collect());
        let settings = Arc::make_mut(&mut router.settings);
        settings.mode = if multicast { Mode::Multicast } else { Mode::Unicast };
        if reversed {
            settings.links.reverse();
        }
        settings.links.truncate(links);
        router
    })
}

proptest! {
    #[test]
    fn all_nodes_come_to_the_same_view(router in routers()) {
        let of = |node: &str| View::new(&Router { node: node.to_owned(), ..router.clone() }, &farm());
        let views: BTreeMap<&str, _> = router.nodes.keys().map(|name| (name.as_str(), of(name))).collect();
        let first = views.values().next().unwrap();
        for view in views.values() {
            prop_assert_eq!(view.as_ref().err(), first.as_ref().err());
        }
        let views: BTreeMap<&str, View> =
            views.into_iter().filter_map(|(name, view)| Some((name, view.ok()?))).collect();
        for (name, view) in &views {
            prop_assert_eq!(view.settings.links.len(), view.paths.len());
            prop_assert_eq!(view.roster.peers.len(), router.nodes.len() - 1);
            for (number, path) in view.paths.iter().enumerate() {
                prop_assert_eq!(&path.known_as, &views.values().next().unwrap().paths[number].known_as);
                prop_assert_eq!(path.sender(path.channel.local), view.settings.address);
                for (other, theirs) in views.iter().filter(|(other, _)| *other != name) {
                    let local = theirs.paths[number].channel.local;
                    prop_assert_eq!(local.is_ipv4(), path.channel.local.is_ipv4());
                    prop_assert_eq!(path.sender(local), theirs.settings.address);
                    prop_assert_eq!(view.roster.peers[*other][number], local);
                    if router.settings.mode == Mode::Unicast {
                        prop_assert!(path.destinations.contains(&local));
                        prop_assert!(!path.channel.anybody);
                    }
                    prop_assert!(path.channel.peers.contains(&local));
                }
            }
        }
    }
}

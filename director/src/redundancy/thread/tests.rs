//! Threads of two directors, in two network namespaces with real links between.

use super::*;
use crate::redundancy::Addresses;
use crate::sample;
use crate::status::RoleStatus;
use director_core::model::{Mode, Network};
use lab::{Host, Lab, eventually};
use std::collections::BTreeSet;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use sync::vrrp::authentication::{Key, Keyring};
use sync::vrrp::timing::Interval;

const LIMIT: Duration = Duration::from_secs(20);

type Outcome = Result<(), Box<dyn Error>>;

/// A director without anything but its thread.
struct Director<'a> {
    host: &'a Host,
    thread: Handle,
    orders: Orders,
}

impl<'a> Director<'a> {
    fn start(host: &'a Host, router: &Router, epoch: u64) -> Result<Self, Box<dyn Error>> {
        let router = Arc::new(Router { node: host.name().to_owned(), ..router.clone() });
        let past = Past { epoch, heard: Sequences::new() };
        let (teller, _nobody_listens) = Teller::new();
        let thread = host.enter(|| block_on(spawn(false, past, teller)))??;
        let placed =
            |text: &str, interface: &str| Ok::<_, Box<dyn Error>>((text.parse()?, interface.to_owned()));
        let wanted: BTreeSet<_> =
            [placed("192.168.1.35", "eth0")?, placed("fd00:1::35", "eth0")?, placed("10.0.1.254", "eth1")?]
                .into();
        let addresses =
            Some(Arc::new(Addresses { wanted: wanted.clone(), ours: wanted, ..Addresses::default() }));
        let orders = Orders { addresses, router: Some(router) };
        thread.orders.send_replace(orders.clone());
        Ok(Self { host, thread, orders })
    }

    fn role(&self) -> Role {
        *self.thread.role.borrow()
    }

    /// How many of the three addresses it has.
    fn holds(&self) -> usize {
        let addresses: [IpAddr; 3] =
            ["192.168.1.35", "fd00:1::35", "10.0.1.254"].map(|it| it.parse().unwrap());
        addresses.into_iter().filter(|&it| self.host.has_address(it).unwrap_or(false)).count()
    }

    /// Waits until it is that, with all addresses or none.
    fn is(&self, role: Role) -> lab::Result<()> {
        let addresses = if role == Role::Active { 3 } else { 0 };
        eventually(LIMIT, &format!("{} is {role}", self.host.name()), || {
            self.role() == role && self.holds() == addresses
        })
    }

    fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> T {
        let (reply, answer) = oneshot::channel();
        self.thread.asks.try_send(question(reply)).unwrap();
        block_on(answer).unwrap()
    }

    fn status(&self) -> RedundancyStatus {
        self.ask(Ask::Status).unwrap()
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The farm's pair, which adverts every 100 ms.
fn router(change: impl FnOnce(&mut Router)) -> Router {
    let mut router = sample::router();
    let settings = Arc::make_mut(&mut router.settings);
    settings.interval = Interval::from_centiseconds(10).unwrap();
    change(&mut router);
    router
}

fn pair<'a>(lab: &'a Lab, router: &Router) -> Result<[Director<'a>; 2], Box<dyn Error>> {
    let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
    Ok([Director::start(lb1, router, 1)?, Director::start(lb2, router, 1)?])
}

/// One is Active, leaves, and comes back; the other one takes its place meanwhile.
fn hand_over(router: &Router) -> Outcome {
    let lab = Lab::exchange()?;
    let [lb1, lb2] = pair(&lab, router)?;
    lb1.is(Role::Active)?;
    lb2.is(Role::Backup)?;
    eventually(LIMIT, "they know each other", || {
        [&lb1, &lb2].iter().all(|it| it.status().peers.iter().all(|peer| peer.reachable))
    })?;
    let status = lb2.status();
    let active = status.active.ok_or("it hears an Active")?;
    assert_eq!((active.node.as_deref(), active.priority), (Some("lb1"), 150));
    assert!(
        status.links.iter().all(|link| link.up && !link.silent && link.received > 0),
        "{:?}",
        status.links
    );
    assert_eq!(status.discards.values().sum::<u64>(), 0, "{:?}", status.discards);
    assert_eq!(lb1.status().peers[0].says.as_ref().map(|says| says.role), Some(RoleStatus::Backup));

    lb1.ask(Ask::Leave);
    assert_eq!(lb1.holds(), 0, "they are off when it says so");
    lb2.is(Role::Active)?;
    let lb1 = Director::start(lb1.host, router, 2)?;
    lb2.is(Role::Backup)?;
    lb1.is(Role::Active)?;
    Ok(())
}

fn sign(router: &mut Router) {
    let key = Key::new(1, b"as many bytes as it takes").unwrap();
    router.keyring = Some(Keyring::new(key, None).unwrap());
}

fn only_v6(router: &mut Router) {
    for (host, node) in Arc::make_mut(&mut router.nodes).values_mut().enumerate() {
        for (side, attachment) in [&mut node.public, &mut node.private].into_iter().enumerate() {
            let address = format!("fd00:{}::{}", side + 1, host + 33).parse().unwrap();
            attachment.addresses = vec![Network::new(address, 64).unwrap()];
        }
    }
}

#[test]
fn a_pair_by_unicast() {
    lab::test(|| hand_over(&router(|_| ())));
}

#[test]
fn a_pair_by_signed_multicast() {
    lab::test(|| {
        hand_over(&router(|it| {
            Arc::make_mut(&mut it.settings).mode = Mode::Multicast;
            sign(it);
        }))
    });
}

#[test]
fn a_pair_by_signed_unicast_of_ipv6() {
    lab::test(|| {
        hand_over(&router(|it| {
            only_v6(it);
            sign(it);
        }))
    });
}

#[test]
fn a_pair_by_multicast_of_ipv6() {
    lab::test(|| {
        hand_over(&router(|it| {
            only_v6(it);
            Arc::make_mut(&mut it.settings).mode = Mode::Multicast;
        }))
    });
}

#[test]
fn who_ends_without_a_word_is_followed_and_its_addresses_lapse() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = pair(&lab, &router(|_| ()))?;
        lb1.is(Role::Active)?;
        lb2.is(Role::Backup)?;
        let host = lb1.host;
        drop(lb1);
        lb2.is(Role::Active)?;
        assert_eq!(lb2.status().why, "no adverts on any link");
        eventually(LIMIT, "nobody renews its leases", || {
            !host.has_address([192, 168, 1, 35].into()).unwrap_or(true)
        })?;
        eventually(LIMIT, "it is missed", || lb2.status().peers.iter().all(|peer| !peer.reachable))?;
        Ok(())
    });
}

#[test]
fn a_director_that_starts_anew_before_it_is_missed_loses_nothing() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let slow = router(|it| Arc::make_mut(&mut it.settings).interval = Interval::DEFAULT);
        let lb1 = Director::start(&lab.directors()[0], &slow, 1)?;
        lb1.is(Role::Active)?;
        drop(lb1);
        let lb1 = Director::start(&lab.directors()[0], &slow, 2)?;
        eventually(LIMIT, "it is Active again", || {
            assert_eq!(lb1.holds(), 3);
            lb1.role() == Role::Active
        })?;
        Ok(())
    });
}

#[test]
fn addresses_that_a_backup_finds_go_when_it_hears_the_active() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [_, host] = lab.directors() else { return Err("two directors".into()) };
        let lb1 = Director::start(&lab.directors()[0], &router(|_| ()), 1)?;
        lb1.is(Role::Active)?;
        host.run("ip address add 192.168.1.35/32 dev eth0")?;
        host.run("ip address add 10.0.1.254/32 dev eth1")?;
        let lb2 = Director::start(host, &router(|_| ()), 1)?;
        lb2.is(Role::Backup)?;
        Ok(())
    });
}

#[test]
fn a_planned_failover_says_who_takes_over_or_why_nobody_does() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = pair(&lab, &router(|_| ()))?;
        lb1.is(Role::Active)?;
        lb2.is(Role::Backup)?;
        let failover = |director: &Director<'_>, to: Option<&str>| {
            let to = to.map(str::to_owned);
            director.ask(|reply| Ask::Failover { to, force: false, reply })
        };
        let unknown = FailoverError::UnknownNode { name: "lb22".into(), suggestion: Some("lb2".into()) };
        assert_eq!(failover(&lb1, Some("lb22")), Err(unknown));
        assert_eq!(failover(&lb1, Some("lb1")), Err(FailoverError::Refused(Refusal::Itself)));
        assert_eq!(failover(&lb2, None), Err(FailoverError::Refused(Refusal::NotActive)));
        // What was known of lb2 before the silence at the start is void: it has to say hello once more.
        let too_early = Err(FailoverError::Refused(Refusal::NoFitPeer));
        let mut answer = too_early.clone();
        eventually(LIMIT, "lb2 is known to be fit", || {
            answer = failover(&lb1, None);
            answer != too_early
        })?;
        assert_eq!((answer, lb1.holds()), (Ok(Some("lb2".into())), 0));
        lb2.is(Role::Active)?;
        lb1.is(Role::Backup)?;
        let status = lb1.status();
        assert!(status.stood_down, "it does not take them back by itself");
        assert_eq!(status.why, "the operator wants lb2 to be Active");
        assert_eq!(failover(&lb2, Some("lb1")), Ok(Some("lb1".into())));
        lb1.is(Role::Active)?;
        Ok(())
    });
}

#[test]
fn a_link_that_is_lost_is_reason_to_yield() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = pair(&lab, &router(|_| ()))?;
        for (link, words) in
            [("eth0", "public (eth0) is down: not fit"), ("eth1", "private (eth1) is down: not fit")]
        {
            lb1.is(Role::Active)?;
            lb2.is(Role::Backup)?;
            lb1.host.run(&format!("ip link set {link} down"))?;
            lb2.is(Role::Active)?;
            lb1.is(Role::Backup)?;
            let status = lb1.status();
            assert!(!status.fit && status.priority == 1, "{status:?}");
            assert_eq!(status.lowered_by, [words]);
            lb1.host.run(&format!("ip link set {link} up"))?;
        }
        lb1.is(Role::Active)?;
        Ok(())
    });
}

#[test]
fn other_orders_are_followed() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let host = &lab.directors()[0];
        let mut lb1 = Director::start(host, &router(|_| ()), 1)?;
        lb1.is(Role::Active)?;
        let order = |lb1: &mut Director<'_>, router: Option<Router>| {
            lb1.orders.router = router.map(Arc::new);
            lb1.thread.orders.send_replace(lb1.orders.clone());
        };

        order(&mut lb1, Some(router(|it| Arc::make_mut(&mut it.settings).interval = Interval::MINIMUM)));
        eventually(LIMIT, "it adverts more often", || (lb1.status().interval_seconds - 0.01).abs() < 1e-9)?;
        lb1.is(Role::Active)?;

        order(&mut lb1, None);
        eventually(LIMIT, "it is alone", || lb1.ask(Ask::Status).is_none())?;
        lb1.is(Role::Active)?;
        eventually(LIMIT, "alone it has them for ever", || {
            host.run("ip address show dev eth0").is_ok_and(|text| !text.contains("dynamic"))
        })?;

        order(&mut lb1, Some(router(|_| ())));
        eventually(LIMIT, "it takes part again", || lb1.ask(Ask::Status).is_some())?;
        assert_eq!(lb1.holds(), 3, "nobody else has been heard");
        lb1.is(Role::Active)?;
        eventually(LIMIT, "on a lease", || {
            host.run("ip address show dev eth0")
                .is_ok_and(|text| text.contains("192.168.1.35/32 scope global dynamic"))
        })?;
        Ok(())
    });
}

#[test]
fn the_last_director_keeps_its_addresses_over_a_restart() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = pair(&lab, &router(|_| ()))?;
        lb1.is(Role::Active)?;
        lb2.is(Role::Backup)?;
        let host = lb1.host;
        eventually(LIMIT, "lb2 says hello", || lb1.status().peers[0].reachable)?;
        drop(lb2);
        eventually(LIMIT, "lb2 is missed", || !lb1.status().peers[0].reachable)?;
        lb1.ask(Ask::Leave);
        assert_eq!(lb1.holds(), 3);
        let shown = host.run("ip address show dev eth0")?;
        // The lease of one that runs is 5 s.
        let longer = (30..=60).any(|left| shown.contains(&format!("valid_lft {left}sec")));
        assert!(longer, "{shown}");

        let lb1 = Director::start(host, &router(|_| ()), 2)?;
        eventually(LIMIT, "it is Active again", || {
            assert_eq!(lb1.holds(), 3);
            lb1.role() == Role::Active
        })?;
        eventually(LIMIT, "on a short lease", || {
            host.run("ip address show dev eth0").is_ok_and(|it| it.contains("valid_lft 5sec"))
        })?;
        Ok(())
    });
}

#[test]
fn who_stops_gives_up_what_somebody_may_want() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [host, other] = lab.directors() else { return Err("two directors".into()) };
        let lb1 = Director::start(host, &router(|_| ()), 1)?;
        lb1.is(Role::Active)?;
        lb1.ask(Ask::Leave);
        assert_eq!(lb1.holds(), 0, "another product says no hello, and may be there");

        other.run("ip address add 192.168.1.35/32 dev eth0")?;
        let slow = |router: &mut Router| Arc::make_mut(&mut router.settings).interval = Interval::DEFAULT;
        let lb2 = Director::start(other, &router(slow), 1)?;
        eventually(LIMIT, "it listens", || lb2.role() == Role::Backup)?;
        lb2.ask(Ask::Leave);
        assert_eq!(lb2.holds(), 0, "what it found is off too");
        Ok(())
    });
}

#[test]
fn who_can_not_hear_does_not_take_silence_for_an_absence() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let host = &lab.directors()[0];
        for (interface, address) in [("eth0", "192.168.1.33/24"), ("eth1", "10.0.1.33/24")] {
            host.run(&format!("ip address del {address} dev {interface}"))?;
        }
        let lb1 = Director::start(host, &router(|_| ()), 1)?;
        eventually(LIMIT, "it takes part", || lb1.role() == Role::Backup)?;
        std::thread::sleep(Duration::from_secs(1));
        lb1.is(Role::Backup)?;
        assert!(!lb1.status().fit);
        host.run("ip address add 10.0.1.33/24 dev eth1")?;
        lb1.is(Role::Active)?;
        host.run("ip address add 192.168.1.33/24 dev eth0")?;
        eventually(LIMIT, "it is fit", || lb1.status().fit)?;
        Ok(())
    });
}

#[test]
fn who_loses_its_own_address_yields() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = pair(&lab, &router(|_| ()))?;
        lb1.is(Role::Active)?;
        let host = &lab.directors()[0];
        host.run("ip address del 192.168.1.33/24 dev eth0")?;
        lb2.is(Role::Active)?;
        eventually(LIMIT, "the other one gave up", || !lb1.status().fit && lb1.holds() == 0)?;
        host.run("ip address add 192.168.1.33/24 dev eth0")?;
        eventually(LIMIT, "it is fit", || lb1.status().fit)?;
        Ok(())
    });
}

#[test]
fn a_flood_of_adverts_holds_nothing_else_up() {
    lab::sandbox::test(|| {
        block_on(async {
            let (_orders, ordered) = watch::channel(Orders::default());
            let (_lowered, fitness) = watch::channel(Lowered::default());
            let (_asks, asked) = mpsc::channel(1);
            let (roles, reports) = (watch::Sender::new(Role::Initialize), watch::Sender::default());
            let inputs = Inputs { ordered, fitness, asked };
            let outputs = Outputs { roles, reports, teller: Teller::new().0 };
            let mut thread = Thread::open(Past::default(), inputs, outputs, Ok(()))?;
            let other = tokio::spawn(async {});
            for _ in 0..10 {
                thread.more = true;
                assert!(matches!(thread.wait().await, Wake::Look));
            }
            assert!(other.is_finished(), "netlink is served by tasks");
            Ok(())
        })
    });
}

use super::*;
use lab::sandbox;
use std::error::Error;
use std::net::IpAddr;
use std::process::Command;
use std::time::Instant;

type Outcome = Result<(), Box<dyn Error>>;

const LIMIT: Duration = Duration::from_secs(20);
const LEASE: Terms = Terms { lease: Some(Duration::from_secs(3)), ..Terms::ALONE };

fn at(text: &str) -> Placed {
    let (address, interface) = text.split_once('@').unwrap();
    (address.parse().unwrap(), interface.to_owned())
}

fn all(text: &str) -> BTreeSet<Placed> {
    text.split_whitespace().map(at).collect()
}

fn ordered(wanted: &str, ours: &str) -> Arc<Ordered> {
    Arc::new(Ordered { wanted: all(wanted), ours: all(ours), links: BTreeSet::new() })
}

fn ip(arguments: &str) -> Outcome {
    let status = Command::new("ip").args(arguments.split_whitespace()).status()?;
    if status.success() { Ok(()) } else { Err(format!("ip {arguments}: {status}").into()) }
}

/// What `ip` shows of an address; empty if it isn't there.
fn shown(address: &str) -> Result<String, Box<dyn Error>> {
    let output = Command::new("ip").args(["-o", "address", "show", "to", address]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// What `ip` shows of an interface, flags among it.
fn link(name: &str) -> Result<String, Box<dyn Error>> {
    let output = Command::new("ip").args(["-o", "link", "show", "dev", name]).output()?;
    let shown = String::from_utf8(output.stdout)?;
    Ok(shown.split_once('>').ok_or("no flags")?.0.replace("LOWER_UP", ""))
}

/// A holder, driven as the thread drives it.
struct Driven {
    holder: Holder,
    started: Instant,
    report: AddressReport,
    /// Netlink operations so far.
    steps: usize,
}

impl Driven {
    fn now(&self) -> Time {
        Time::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn order(&mut self, ordered: Arc<Ordered>, terms: Terms) {
        self.holder.order(self.now(), ordered, terms);
    }

    /// Goes on for a while.
    async fn run(&mut self, span: Duration) {
        let end = self.started.elapsed() + span;
        while self.started.elapsed() < end {
            self.turn(end).await;
        }
    }

    /// Goes on until it is so.
    async fn until(&mut self, what: &str, mut so: impl FnMut(&Self) -> bool) -> Outcome {
        let limit = self.started.elapsed() + LIMIT;
        while !so(self) {
            if self.started.elapsed() > limit {
                return Err(format!("{what}: {:?}", self.report).into());
            }
            self.turn(limit).await;
        }
        Ok(())
    }

    /// Goes on until everything is done.
    async fn settle(&mut self) -> Outcome {
        let settled = |holder: &Holder| !holder.pending() && holder.batch.is_empty();
        self.until("settled", |driven| driven.report.known && settled(&driven.holder)).await
    }

    async fn turn(&mut self, end: Duration) {
        let now = self.now();
        self.holder.due(now);
        if self.holder.pending() {
            self.steps += 1;
            self.holder.step(now);
        } else {
            let end = Time::from_nanos(u64::try_from(end.as_nanos()).unwrap_or(u64::MAX));
            let wait = self.holder.deadline().unwrap_or(end).min(end).since(now);
            let _ = tokio::time::timeout(wait, self.holder.changed()).await;
        }
        if let Some(report) = self.holder.report() {
            self.report = report;
        }
    }
}

/// Runs `body` in a network namespace of its own, where `public0` is up and `spare0` is down.
fn driven<Body: Future<Output = Outcome>>(body: impl FnOnce(Driven) -> Body) -> Outcome {
    ip("link add public0 type veth peer name peer0")?;
    ip("link add spare0 type veth peer name peer1")?;
    for link in ["public0", "peer0", "spare0"] {
        ip(&format!("link set {link} addrgenmode none"))?;
    }
    ip("link set public0 up")?;
    ip("link set peer0 up")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let holder = Holder::open()?;
        body(Driven { holder, started: Instant::now(), report: AddressReport::default(), steps: 0 }).await
    })
}

const VIPS: &str = "192.168.1.35@public0 fd00::35@public0";

#[test]
fn holds_and_releases() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered(VIPS, VIPS), LEASE);
            assert!(!it.holder.inherits(it.now()).await);
            it.settle().await?;
            assert!(it.report.present.is_disjoint(&all(VIPS)), "as found");
            it.holder.hold(Holding::Held);
            it.settle().await?;
            assert!(it.report.present.is_superset(&all(VIPS)));
            it.until("each announced", |it| it.holder.announced() == 2).await?;
            it.holder.release(it.now()).await;
            assert_eq!((shown("192.168.1.35")?, shown("fd00::35")?), (String::new(), String::new()));
            // What the kernel still has to say of it.
            it.run(Duration::from_millis(300)).await;
            let steps = it.steps;
            it.run(Duration::from_millis(1500)).await;
            assert_eq!(it.holder.announced(), 2, "nothing more once they are off");
            assert_eq!(it.steps, steps, "a lease that is over is not renewed");
            assert_eq!((it.report.repaired, it.report.errors.len()), (0, 0));
            Ok(())
        })
    });
}

#[test]
fn an_address_that_is_not_ours_is_left_alone() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            ip("address add 192.168.1.35/32 dev public0")?;
            it.order(
                ordered("192.168.1.35@public0 192.168.1.36@public0", "192.168.1.36@public0"),
                Terms::ALONE,
            );
            assert!(!it.holder.inherits(it.now()).await, "no lease of ours");
            it.holder.hold(Holding::Held);
            it.settle().await?;
            it.order(ordered("", "192.168.1.36@public0"), Terms::ALONE);
            it.settle().await?;
            assert!(!shown("192.168.1.35")?.is_empty());
            assert!(shown("192.168.1.36")?.is_empty());
            // Nor is one put on that isn't recorded as ours.
            it.order(ordered("192.168.1.37@public0", ""), Terms::ALONE);
            it.settle().await?;
            assert!(shown("192.168.1.37")?.is_empty());
            Ok(())
        })
    });
}

#[test]
fn what_others_do_is_put_right_and_counted() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered(VIPS, VIPS), LEASE);
            it.holder.hold(Holding::Held);
            it.settle().await?;
            ip("address delete 192.168.1.35/32 dev public0")?;
            it.until("repaired", |it| it.report.repaired == 1).await?;
            it.settle().await?;
            assert!(!shown("192.168.1.35")?.is_empty());
            // Somebody makes it stay: the lease comes back.
            ip("address change fd00::35/128 dev public0 valid_lft forever preferred_lft 0")?;
            it.until("leased", |_| shown("fd00::35").is_ok_and(|shown| shown.contains("sec"))).await?;
            assert_eq!(it.report.repaired, 1);
            Ok(())
        })
    });
}

#[test]
fn who_takes_an_address_off_again_and_again_is_not_raced() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered(VIPS, VIPS), LEASE);
            it.holder.hold(Holding::Held);
            it.settle().await?;
            let started = Instant::now();
            let mut taken = 0;
            while started.elapsed() < Duration::from_millis(1000) {
                taken += u64::from(ip("address delete 192.168.1.35/32 dev public0").is_ok());
                it.run(Duration::from_millis(5)).await;
            }
            it.until("all repaired", |it| {
                it.report.repaired == taken && it.report.present.is_superset(&all(VIPS))
            })
            .await?;
            let most = 2 + u64::try_from(started.elapsed().as_millis())? / 100;
            assert!((2..=most).contains(&taken), "{taken} times, {most} at most");
            Ok(())
        })
    });
}

#[test]
fn what_others_do_with_other_addresses_is_no_work() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered(VIPS, VIPS), Terms::ALONE);
            it.holder.hold(Holding::Held);
            it.settle().await?;
            let before = it.steps;
            for number in 1..100 {
                ip(&format!("address add 10.9.0.{number}/32 dev public0"))?;
                it.run(Duration::from_millis(1)).await;
            }
            ip("link set peer1 up")?;
            let last = at("10.9.0.99@public0");
            it.until("told", |it| it.report.present.contains(&last)).await?;
            assert_eq!(it.steps, before);
            Ok(())
        })
    });
}

#[test]
fn leases_are_renewed_and_end_with_the_holder() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered(VIPS, VIPS), LEASE);
            it.holder.hold(Holding::Held);
            it.settle().await?;
            let before = it.steps;
            it.run(Duration::from_secs(7)).await;
            for vip in ["192.168.1.35", "fd00::35"] {
                assert!(shown(vip)?.contains("sec"), "{}", shown(vip)?);
            }
            // Two addresses, once a second: renewing is no change that would make it look again.
            let steps = it.steps - before;
            assert!((6..=16).contains(&steps), "{steps} steps");
            assert_eq!((it.report.repaired, it.report.errors.len()), (0, 0));
            drop(it);
            let gone = || {
                shown("192.168.1.35").is_ok_and(|it| it.is_empty())
                    && shown("fd00::35").is_ok_and(|it| it.is_empty())
            };
            lab::eventually(LIMIT, "the addresses went by themselves", gone)?;
            Ok(())
        })
    });
}

#[test]
fn another_lease_takes_no_address_off() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered(VIPS, VIPS), Terms::ALONE);
            it.holder.hold(Holding::Held);
            it.settle().await?;
            let mut monitor = Command::new("ip")
                .args(["monitor", "address"])
                .stdout(std::process::Stdio::piped())
                .spawn()?;
            it.run(Duration::from_millis(300)).await;
            for (terms, text) in [(LEASE, "sec"), (Terms::ALONE, "valid_lft forever"), (LEASE, "sec")] {
                it.order(ordered(VIPS, VIPS), terms);
                it.settle().await?;
                for vip in ["192.168.1.35", "fd00::35"] {
                    assert!(shown(vip)?.contains(text), "{}", shown(vip)?);
                }
            }
            it.run(Duration::from_millis(300)).await;
            monitor.kill()?;
            let seen = String::from_utf8(monitor.wait_with_output()?.stdout)?;
            assert!(seen.contains("192.168.1.35") && !seen.contains("Deleted"), "{seen}");
            Ok(())
        })
    });
}

#[test]
fn addresses_of_an_earlier_run_are_taken_over() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            ip("address add 192.168.1.35/32 dev public0 valid_lft 3 preferred_lft 3")?;
            ip("address add 192.168.1.36/32 dev public0 valid_lft 3 preferred_lft 3")?;
            it.order(ordered(VIPS, &format!("{VIPS} 192.168.1.36@public0")), LEASE);
            it.settle().await?;
            assert!(it.report.present.contains(&at("192.168.1.36@public0")), "as found");
            assert!(it.holder.inherits(it.now()).await);
            assert_eq!(it.report.left, all("192.168.1.36@public0"));
            it.holder.hold(Holding::Held);
            it.settle().await?;
            assert!(it.report.left.is_empty());
            it.run(Duration::from_secs(5)).await;
            assert!(!shown("192.168.1.35")?.is_empty() && shown("192.168.1.36")?.is_empty());
            it.holder.announce_all(it.now());
            assert!(it.holder.announced() >= 3);
            Ok(())
        })
    });
}

#[test]
fn what_fails_is_told_and_tried_again() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            let addresses = "192.168.1.35@spare0 192.168.1.36@nowhere0 fd00::35@public0";
            std::fs::write("/proc/sys/net/ipv6/conf/public0/disable_ipv6", "1")?;
            it.order(ordered(addresses, addresses), LEASE);
            it.holder.hold(Holding::Held);
            it.until("three errors", |it| it.report.errors.len() == 3).await?;
            let errors = it.report.errors.join("\n");
            for part in ["is down", "no interface \"nowhere0\"", "is IPv6 disabled there"] {
                assert!(errors.contains(part), "{errors}");
            }
            ip("link set spare0 up")?;
            ip("link add nowhere0 up type veth peer name peer2")?;
            std::fs::write("/proc/sys/net/ipv6/conf/public0/disable_ipv6", "0")?;
            it.until("no errors", |it| {
                it.report.errors.is_empty() && it.report.present.is_superset(&all(addresses))
            })
            .await
        })
    });
}

#[test]
fn an_interface_that_is_down_is_no_failed_announcement() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            it.order(ordered("192.168.1.35@public0", "192.168.1.35@public0"), Terms::ALONE);
            it.holder.hold(Holding::Held);
            it.until("announced", |it| it.holder.announced() == 1).await?;
            ip("link set public0 down")?;
            it.run(Duration::from_millis(1500)).await;
            assert_eq!(it.report.errors, [""; 0]);
            assert_eq!(it.holder.announced(), 1);
            Ok(())
        })
    });
}

#[test]
fn an_address_that_cannot_be_given_up_is_told() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            ip("address add 192.168.1.35/24 dev public0")?;
            it.order(ordered(VIPS, VIPS), LEASE);
            it.settle().await?;
            let [error] = it.report.errors.as_slice() else { panic!("{:?}", it.report) };
            assert!(error.contains("ip address delete 192.168.1.35/24 dev public0"), "{error}");
            ip("address delete 192.168.1.35/24 dev public0")?;
            it.until("well", |it| it.report.errors.is_empty()).await?;
            // Alone it may have come from anywhere.
            ip("address add 192.168.1.35/24 dev public0")?;
            it.order(ordered(VIPS, "fd00::35@public0"), Terms::ALONE);
            it.holder.hold(Holding::Held);
            it.until("seen", |it| it.report.present.contains(&at("192.168.1.35@public0"))).await?;
            it.settle().await?;
            assert_eq!(it.report.errors, [""; 0]);
            Ok(())
        })
    });
}

#[test]
fn a_thousand_addresses_are_put_on_and_off() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            let many: BTreeSet<Placed> = (0..1000_u16)
                .map(|it| {
                    (IpAddr::from([10, 7, it.to_be_bytes()[0], it.to_be_bytes()[1]]), "public0".to_owned())
                })
                .collect();
            it.order(
                Arc::new(Ordered { wanted: many.clone(), ours: many.clone(), links: BTreeSet::new() }),
                LEASE,
            );
            it.settle().await?;
            it.holder.hold(Holding::Held);
            it.settle().await?;
            it.until("all there", |it| it.report.present.is_superset(&many)).await?;
            it.until("all announced", |it| it.holder.announced() >= 1000).await?;
            it.run(Duration::from_secs(5)).await;
            assert!(it.report.present.is_superset(&many));
            it.holder.release(it.now()).await;
            it.settle().await?;
            assert!(it.report.present.is_disjoint(&many));
            Ok(())
        })
    });
}

#[test]
fn an_interface_of_the_addresses_is_up_while_they_are_held() {
    sandbox::test(|| {
        driven(async |mut it: Driven| {
            ip("link add link public0 name vrrp51-pub address 00:00:5e:00:01:33 type macvlan mode private")?;
            let up = || link("vrrp51-pub").is_ok_and(|shown| shown.contains("UP"));
            let vips = "192.168.1.35@vrrp51-pub fd00::35@vrrp51-pub";
            let addresses =
                Ordered { wanted: all(vips), ours: all(vips), links: ["vrrp51-pub".to_owned()].into() };
            it.order(Arc::new(addresses), LEASE);
            it.settle().await?;
            assert!(!up());
            it.holder.hold(Holding::Held);
            it.settle().await?;
            assert!(up() && it.report.present.is_superset(&all(vips)), "{:?}", it.report);
            assert_eq!(it.report.errors, [""; 0]);
            it.until("announced", |it| it.holder.announced() == 2).await?;
            // Somebody sets it down.
            ip("link set vrrp51-pub down")?;
            it.until("up again", |it| up() && it.report.present.is_superset(&all(vips))).await?;
            it.holder.release(it.now()).await;
            assert!(!up() && shown("192.168.1.35")?.is_empty() && shown("fd00::35")?.is_empty());
            // Somebody removes it while it is to be there.
            it.holder.hold(Holding::Held);
            it.settle().await?;
            ip("link delete vrrp51-pub")?;
            it.until("told", |it| it.report.errors.iter().any(|error| error.contains("vrrp51-pub"))).await?;
            ip("link add link public0 name vrrp51-pub address 00:00:5e:00:01:33 type macvlan mode private")?;
            it.until("there again", |it| {
                it.report.present.is_superset(&all(vips)) && it.report.errors.is_empty()
            })
            .await
        })
    });
}

use super::*;
use lab::sandbox;
use proptest::prelude::*;
use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

type At = (IpAddr, String);

fn at(text: &str) -> At {
    let (address, interface) = text.split_once('@').unwrap();
    (address.parse().unwrap(), interface.to_owned())
}

fn all(text: &str) -> BTreeSet<At> {
    text.split_whitespace().map(at).collect()
}

fn steps(wanted: &str, present: &str, ours: &str) -> Vec<String> {
    let changes = plan(&all(wanted), &all(present), &all(ours));
    let words = |change: AddressChange| match change {
        AddressChange::Add { address, interface } => format!("+{address}@{interface}"),
        AddressChange::Remove { address, interface } => format!("-{address}@{interface}"),
    };
    changes.into_iter().map(words).collect()
}

#[test]
fn plans_what_is_missing_and_what_is_ours() {
    let none: [&str; 0] = [];
    assert_eq!(steps("10.0.0.1@a ::1@b", "", ""), ["+10.0.0.1@a", "+::1@b"]);
    assert_eq!(steps("10.0.0.1@a", "10.0.0.1@a", ""), none);
    assert_eq!(steps("", "10.0.0.1@a 10.0.0.2@a", "10.0.0.2@a"), ["-10.0.0.2@a"]);
    assert_eq!(steps("", "", "10.0.0.2@a"), ["-10.0.0.2@a"]);
    assert_eq!(steps("10.0.0.1@b", "10.0.0.1@a", "10.0.0.1@a"), ["-10.0.0.1@a", "+10.0.0.1@b"]);
    assert_eq!(steps("10.0.0.1@a", "", "10.0.0.1@a"), ["+10.0.0.1@a"]);
}

fn some() -> impl Strategy<Value = BTreeSet<At>> {
    let one =
        (0_u8..4, prop_oneof!["a", "b"]).prop_map(|(host, name)| (IpAddr::from([10, 0, 0, host]), name));
    prop::collection::btree_set(one, 0..8)
}

proptest! {
    #[test]
    fn leads_to_what_is_wanted_and_touches_nothing_else(wanted in some(), present in some(), ours in some()) {
        let mut after = present.clone();
        for change in plan(&wanted, &present, &ours) {
            match change {
                AddressChange::Add { address, interface } => {
                    prop_assert!(after.insert((address, interface)));
                }
                AddressChange::Remove { address, interface } => {
                    prop_assert!(ours.contains(&(address, interface.clone())));
                    after.remove(&(address, interface));
                }
            }
        }
        let foreign: BTreeSet<At> = present.difference(&ours).cloned().collect();
        prop_assert_eq!(after, wanted.union(&foreign).cloned().collect::<BTreeSet<_>>());
    }
}

fn ip(arguments: &str) -> Result<(), Box<dyn Error>> {
    let status = Command::new("ip").args(arguments.split_whitespace()).status()?;
    if status.success() { Ok(()) } else { Err(format!("ip {arguments}: {status}").into()) }
}

fn shown(arguments: &str) -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(Command::new("ip").args(arguments.split_whitespace()).output()?.stdout)?)
}

/// The interface of this name.
async fn interface<'a>(addresses: &Addresses, name: &'a str) -> Result<Interface<'a>, Box<dyn Error>> {
    let index = addresses.picture().await?.link(name).ok_or("no such interface")?.index;
    Ok(Interface { name, index })
}

async fn is_there(addresses: &Addresses, at: &At) -> Result<bool, AddressError> {
    Ok(addresses.picture().await?.placed().contains(at))
}

/// Runs `body` in a network namespace of its own, where `public0` is up and `spare0` is down.
fn on_interfaces<Body: Future<Output = Result<(), Box<dyn Error>>>>(
    body: impl FnOnce(Addresses) -> Body,
) -> Result<(), Box<dyn Error>> {
    ip("link add public0 type veth peer name peer0")?;
    // Link-local addresses come whenever they like.
    ip("link set public0 addrgenmode none")?;
    ip("link set peer0 addrgenmode none")?;
    ip("link set public0 up")?;
    ip("link set peer0 up")?;
    ip("link add spare0 type veth peer name peer1")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { body(Addresses::open()?).await })
}

#[test]
fn adds_and_removes_addresses() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let public0 = interface(&addresses, "public0").await?;
            for vip in ["192.168.1.35@public0", "fd00::35@public0"].map(at) {
                assert!(!is_there(&addresses, &vip).await?);
                assert!(addresses.add(vip.0, &public0, None).await?);
                assert!(!addresses.add(vip.0, &public0, None).await?);
                assert!(is_there(&addresses, &vip).await?);
            }
            assert!(shown("-4 address show dev public0")?.contains("inet 192.168.1.35/32 scope global"));
            // Usable at once, and no source of the director's own connections.
            let six = shown("-6 address show dev public0 to fd00::35")?;
            assert!(
                six.contains("fd00::35/128") && six.contains("deprecated") && six.contains("nodad"),
                "{six}"
            );
            assert!(!six.contains("tentative"), "{six}");
            let nowhere = Interface { name: "nowhere0", index: 4711 };
            for vip in ["192.168.1.35@public0", "fd00::35@public0"].map(at) {
                addresses.remove(vip.0, &public0).await?;
                assert!(!is_there(&addresses, &vip).await?);
                addresses.remove(vip.0, &public0).await?;
                addresses.remove(vip.0, &nowhere).await?;
            }
            Ok(())
        })
    });
}

#[test]
fn a_lease_ends_by_itself_unless_it_is_renewed() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let public0 = interface(&addresses, "public0").await?;
            let lease = Some(Duration::from_secs(3));
            let vips = ["192.168.1.35@public0", "fd00::35@public0"].map(at);
            let kept = ["192.168.1.36@public0", "fd00::36@public0"].map(at);
            let freed = ["192.168.1.37@public0", "fd00::37@public0"].map(at);
            for vip in vips.iter().chain(&kept).chain(&freed) {
                addresses.add(vip.0, &public0, lease).await?;
                assert_eq!(addresses.picture().await?.host(vip.0, &vip.1), Some(false));
            }
            let started = Instant::now();
            while is_there(&addresses, &vips[0]).await? || is_there(&addresses, &vips[1]).await? {
                for vip in &kept {
                    addresses.renew(vip.0, &public0, lease).await?;
                }
                for vip in &freed {
                    addresses.renew(vip.0, &public0, None).await?;
                }
                assert!(started.elapsed() < Duration::from_secs(20), "{}", shown("address")?);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            assert!(started.elapsed() > Duration::from_secs(2));
            let picture = addresses.picture().await?;
            for vip in &kept {
                assert_eq!(picture.host(vip.0, &vip.1), Some(false));
            }
            for vip in &freed {
                assert_eq!(picture.host(vip.0, &vip.1), Some(true));
            }
            let six = shown("-6 address show dev public0 to fd00::37")?;
            assert!(six.contains("deprecated") && !six.contains("tentative"), "{six}");
            Ok(())
        })
    });
}

#[test]
fn leaves_an_address_that_the_administrator_configured() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            ip("address add 192.168.1.35/24 dev public0")?;
            let vip = at("192.168.1.35@public0");
            let picture = addresses.picture().await?;
            assert_eq!(picture.prefixes(vip.0, &vip.1).collect::<Vec<_>>(), [24]);
            assert_eq!(picture.host(vip.0, &vip.1), None);
            addresses.remove(vip.0, &interface(&addresses, "public0").await?).await?;
            assert!(is_there(&addresses, &vip).await?);
            Ok(())
        })
    });
}

#[test]
fn says_what_is_wrong_with_an_interface() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let vip = IpAddr::from([192, 168, 1, 35]);
            let picture = addresses.picture().await?;
            assert_eq!(
                picture.link_for(vip, "nowhere0").unwrap_err().to_string(),
                "cannot add 192.168.1.35: there is no interface \"nowhere0\""
            );
            assert_eq!(
                picture.link_for(vip, "spare0").unwrap_err().to_string(),
                "cannot add 192.168.1.35: interface \"spare0\" is down; it is added as soon as that is up"
            );
            std::fs::write("/proc/sys/net/ipv6/conf/public0/disable_ipv6", "1")?;
            let public0 = interface(&addresses, "public0").await?;
            assert_eq!(
                addresses.add("fd00::35".parse()?, &public0, None).await.unwrap_err().to_string(),
                "cannot add fd00::35 to \"public0\": Permission denied (os error 13) \
                 (is IPv6 disabled there, by disable_ipv6?)"
            );
            Ok(())
        })
    });
}

#[test]
fn a_picture_that_follows_changes_is_the_one_that_the_kernel_gives() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let mut changes = Changes::open()?;
            let limit = Duration::from_secs(20);
            let mut picture = addresses.picture().await?;
            for command in [
                "address add 192.168.1.35/32 dev public0",
                "address add 192.168.1.35/24 dev public0",
                "address del 192.168.1.35/32 dev public0",
                "address add fd00::35/128 dev public0 nodad",
                "address add fd00::36/64 dev public0 nodad",
                "address del fd00::35/128 dev public0",
                "link set spare0 up",
                "link set peer1 up",
                "link set spare0 down",
                "link set peer1 down",
                // Before Linux 6.2 an interface that is up can't be renamed.
                "link set spare0 name renamed0",
                "link set peer1 down",
                "link set peer1 name spare0",
                "link set renamed0 address 02:00:5e:10:00:01",
                "link set public0 down",
                "link del renamed0",
                "link add bridge0 type bridge",
                "link set peer0 master bridge0",
                "link set peer0 nomaster",
                "link del public0",
            ] {
                ip(command)?;
                let follow = async {
                    while addresses.picture().await? != picture {
                        for change in changes.next().await {
                            picture.take(change);
                        }
                    }
                    Ok::<_, AddressError>(())
                };
                tokio::time::timeout(limit, follow).await.map_err(|_| command)??;
            }
            assert!(picture.link("spare0").is_none());
            assert!(picture.link("peer0").is_none());
            Ok(())
        })
    });
}

#[test]
fn a_flood_of_changes_costs_no_answer() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let mut changes = Changes::open()?;
            let flood: String = (0..8000)
                .map(|it| format!("address add 10.7.{}.{}/32 dev public0\n", it / 250, it % 250 + 1))
                .collect();
            let file = std::env::temp_dir().join("flood");
            std::fs::write(&file, flood)?;
            let mut others = Command::new("ip").arg("-batch").arg(&file).spawn()?;
            let vip = at("192.168.1.35@public0");
            let public0 = interface(&addresses, "public0").await?;
            while others.try_wait()?.is_none() {
                // Nobody reads meanwhile, and notifications fill the socket.
                std::thread::sleep(Duration::from_millis(20));
                let asked = async {
                    addresses.add(vip.0, &public0, None).await?;
                    addresses.picture().await?;
                    addresses.remove(vip.0, &public0).await
                };
                tokio::time::timeout(Duration::from_secs(20), asked).await??;
            }
            // What was lost is known to be.
            let mut picture = Picture::default();
            let mut lost = true;
            let caught_up = async {
                while lost || picture != addresses.picture().await? {
                    if std::mem::take(&mut lost) {
                        picture = addresses.picture().await?;
                        continue;
                    }
                    for change in changes.next().await {
                        lost |= change == Change::Lost;
                        picture.take(change);
                    }
                }
                Ok::<_, AddressError>(())
            };
            tokio::time::timeout(Duration::from_secs(20), caught_up).await??;
            Ok(())
        })
    });
}

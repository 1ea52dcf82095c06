use super::*;
use lab::sandbox;
use proptest::prelude::*;
use std::error::Error;
use std::process::Command;
use std::time::Duration;

type At = (IpAddr, String);

fn at(text: &str) -> At {
    let (address, interface) = text.split_once('@').unwrap();
    (address.parse().unwrap(), interface.to_owned())
}

fn all(text: &str) -> Vec<At> {
    text.split_whitespace().map(at).collect()
}

fn steps(wanted: &str, present: &str, ours: &str) -> Vec<String> {
    let changes = plan(&all(wanted), &all(present), &all(ours).into_iter().collect());
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
    assert_eq!(steps("10.0.0.1@a 10.0.0.1@a", "", ""), ["+10.0.0.1@a"]);
    assert_eq!(steps("", "10.0.0.1@a 10.0.0.2@a", "10.0.0.2@a"), ["-10.0.0.2@a"]);
    assert_eq!(steps("", "", "10.0.0.2@a"), ["-10.0.0.2@a"]);
    assert_eq!(steps("10.0.0.1@b", "10.0.0.1@a", "10.0.0.1@a"), ["-10.0.0.1@a", "+10.0.0.1@b"]);
    assert_eq!(steps("10.0.0.1@a", "", "10.0.0.1@a"), ["+10.0.0.1@a"]);
}

fn some() -> impl Strategy<Value = Vec<At>> {
    let one =
        (0_u8..4, prop_oneof!["a", "b"]).prop_map(|(host, name)| (IpAddr::from([10, 0, 0, host]), name));
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn leads_to_what_is_wanted_and_touches_nothing_else(wanted in some(), present in some(), ours in some()) {
        let ours: BTreeSet<At> = ours.into_iter().collect();
        let before: BTreeSet<At> = present.iter().cloned().collect();
        let mut after = before.clone();
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
        let wanted: BTreeSet<At> = wanted.into_iter().collect();
        let foreign: BTreeSet<At> = before.difference(&ours).cloned().collect();
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { body(Addresses::open()?).await })
}

#[test]
fn adds_and_removes_addresses() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            for vip in ["192.168.1.35@public0", "fd00::35@public0"].map(at) {
                assert!(!addresses.list().await?.contains(&vip));
                addresses.add(vip.0, &vip.1).await?;
                addresses.add(vip.0, &vip.1).await?;
                assert!(addresses.list().await?.contains(&vip));
            }
            assert!(shown("-4 address show dev public0")?.contains("inet 192.168.1.35/32 scope global"));
            // Usable at once, and no source of the director's own connections.
            let six = shown("-6 address show dev public0 to fd00::35")?;
            assert!(
                six.contains("fd00::35/128") && six.contains("deprecated") && six.contains("nodad"),
                "{six}"
            );
            assert!(!six.contains("tentative"), "{six}");
            for vip in ["192.168.1.35@public0", "fd00::35@public0"].map(at) {
                addresses.remove(vip.0, &vip.1).await?;
                assert!(!addresses.list().await?.contains(&vip));
                addresses.remove(vip.0, &vip.1).await?;
                addresses.remove(vip.0, "nowhere0").await?;
            }
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
            assert!(addresses.list().await?.contains(&vip));
            addresses.remove(vip.0, &vip.1).await?;
            assert!(addresses.list().await?.contains(&vip));
            Ok(())
        })
    });
}

#[test]
fn says_what_is_wrong_with_an_interface() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let vip = IpAddr::from([192, 168, 1, 35]);
            assert_eq!(
                addresses.add(vip, "nowhere0").await.unwrap_err().to_string(),
                "cannot add 192.168.1.35: there is no interface \"nowhere0\""
            );
            assert_eq!(
                addresses.add(vip, "spare0").await.unwrap_err().to_string(),
                "cannot add 192.168.1.35: interface \"spare0\" is down; it is added as soon as that is up"
            );
            std::fs::write("/proc/sys/net/ipv6/conf/public0/disable_ipv6", "1")?;
            assert_eq!(
                addresses.add("fd00::35".parse()?, "public0").await.unwrap_err().to_string(),
                "cannot add fd00::35 to \"public0\": Permission denied (os error 13) \
                 (is IPv6 disabled there, by disable_ipv6?)"
            );
            Ok(())
        })
    });
}

#[test]
fn notices_what_others_do() {
    sandbox::test(|| {
        on_interfaces(async |mut addresses: Addresses| {
            let limit = Duration::from_secs(20);
            for command in [
                "address add 192.168.1.35/32 dev public0",
                "address del 192.168.1.35/32 dev public0",
                "address add fd00::35/128 dev public0 nodad",
                "address del fd00::35/128 dev public0",
                "link set spare0 up",
                "link del spare0",
            ] {
                // What the step before still has to say.
                while tokio::time::timeout(Duration::from_millis(50), addresses.changed()).await.is_ok() {}
                ip(command)?;
                tokio::time::timeout(limit, addresses.changed()).await.map_err(|_| command)?;
            }
            Ok(())
        })
    });
}

#[test]
fn a_flood_of_changes_costs_no_answer() {
    sandbox::test(|| {
        on_interfaces(async |addresses: Addresses| {
            let flood: String = (0..8000)
                .map(|it| format!("address add 10.7.{}.{}/32 dev public0\n", it / 250, it % 250 + 1))
                .collect();
            let file = std::env::temp_dir().join("flood");
            std::fs::write(&file, flood)?;
            let mut others = Command::new("ip").arg("-batch").arg(&file).spawn()?;
            let vip = at("192.168.1.35@public0");
            while others.try_wait()?.is_none() {
                // Nobody reads meanwhile, and notifications fill the socket.
                std::thread::sleep(Duration::from_millis(20));
                let asked = async {
                    addresses.add(vip.0, &vip.1).await?;
                    addresses.list().await?;
                    addresses.remove(vip.0, &vip.1).await
                };
                tokio::time::timeout(Duration::from_secs(20), asked).await??;
            }
            Ok(())
        })
    });
}

//! Announcements on a real link, as the neighbour at the other end gets them.

use lab::{eventually, sandbox};
use pnet_datalink::{Channel, Config, DataLinkReceiver, channel, interfaces};
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;
use sync::announce::{Outlet, Sockets};
use sync::{Mac, arp, ndisc};

const MAC: Mac = [0x02, 0, 0x5e, 0x10, 0, 1];

fn ip(arguments: &str) -> Result<(), Box<dyn Error>> {
    let status = Command::new("ip").args(arguments.split_whitespace()).status()?;
    if status.success() { Ok(()) } else { Err(format!("ip {arguments}: {status}").into()) }
}

fn receiver(name: &str) -> Result<Box<dyn DataLinkReceiver>, Box<dyn Error>> {
    let interface =
        interfaces().into_iter().find(|interface| interface.name == name).ok_or("no interface")?;
    let config = Config { read_timeout: Some(Duration::from_secs(10)), ..Config::default() };
    match channel(&interface, config)? {
        Channel::Ethernet(_, receiver) => Ok(receiver),
        _ => Err("not Ethernet".into()),
    }
}

/// The next `count` frames that come from [`MAC`] and are `wanted`; the kernel itself talks on the link too.
fn frames(receiver: &mut dyn DataLinkReceiver, wanted: &[Vec<u8>]) -> io::Result<Vec<Vec<u8>>> {
    let mut seen = Vec::new();
    while seen.len() < wanted.len() {
        let frame = receiver.next()?;
        if wanted.iter().any(|wanted| frame == wanted) {
            seen.push(frame.to_vec());
        }
    }
    Ok(seen)
}

/// The interface that frames leave by, with the address that they say.
fn outlet(name: &str) -> Result<Outlet<'_>, Box<dyn Error>> {
    let interface = interfaces().into_iter().find(|interface| interface.name == name);
    Ok(Outlet { name, index: interface.ok_or("no interface")?.index, mac: MAC })
}

/// What the neighbour knows of `address`.
fn place_of(address: &str) -> String {
    let output = Command::new("ip").args(["-n", "neighbour", "neighbour", "show", address]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[test]
fn the_neighbour_gets_a_frame_for_each_address() {
    sandbox::test(|| {
        ip("link add public0 address 02:00:5e:10:00:01 type veth peer name neighbour0")?;
        ip("link set public0 up")?;
        ip("link set neighbour0 up")?;
        let mut neighbour = receiver("neighbour0")?;
        let addresses: [IpAddr; 3] = ["192.168.1.35".parse()?, "fd00::35".parse()?, "192.168.1.36".parse()?];
        let mut sockets = Sockets::open()?;
        for address in addresses {
            sockets.announce(outlet("public0")?, address)?;
        }
        let expected = [
            arp::announcement(MAC, "192.168.1.35".parse()?).to_vec(),
            ndisc::announcement(MAC, "fd00::35".parse()?, true).to_vec(),
            arp::announcement(MAC, "192.168.1.36".parse()?).to_vec(),
        ];
        assert_eq!(frames(neighbour.as_mut(), &expected)?, expected);
        Ok(())
    });
}

#[test]
fn the_neighbour_goes_to_the_new_place() {
    sandbox::test(|| {
        ip("link add public0 address 02:00:5e:10:00:01 type veth peer name neighbour0")?;
        ip("netns add neighbour")?;
        ip("link set neighbour0 netns neighbour")?;
        ip("link set public0 up")?;
        ip("-n neighbour link set neighbour0 up")?;
        ip("-n neighbour address add 192.168.1.1/24 dev neighbour0")?;
        ip("-n neighbour neighbour add 192.168.1.35 lladdr 02:00:5e:10:00:99 nud stale dev neighbour0")?;
        ip("-n neighbour neighbour add fd00::35 lladdr 02:00:5e:10:00:99 nud stale dev neighbour0")?;
        let (mut sockets, public0) = (Sockets::open()?, outlet("public0")?);
        for address in ["192.168.1.35", "fd00::35"] {
            let parsed = address.parse()?;
            eventually(Duration::from_secs(20), "the neighbour knows the new place", || {
                sockets.announce(public0, parsed).is_ok() && place_of(address).contains("02:00:5e:10:00:01")
            })?;
        }
        Ok(())
    });
}

#[test]
fn says_why_it_cannot_announce_and_can_again() {
    sandbox::test(|| {
        let address = "192.168.1.35".parse()?;
        let mut sockets = Sockets::open()?;
        let nowhere = Outlet { name: "nowhere0", index: 4711, mac: MAC };
        let error = sockets.announce(nowhere, address).unwrap_err().to_string();
        assert!(error.starts_with("cannot send out of \"nowhere0\": "), "{error}");
        ip("link add public0 type veth peer name neighbour0")?;
        ip("link set neighbour0 up")?;
        let public0 = outlet("public0")?;
        let error = sockets.announce(public0, address).unwrap_err().to_string();
        assert!(error.starts_with("cannot announce 192.168.1.35 on \"public0\": "), "{error}");
        assert!(error.contains("down"), "{error}");
        ip("link set public0 up")?;
        sockets.announce(public0, address)?;
        ip("link set public0 down")?;
        sockets.announce(public0, address).unwrap_err();
        ip("link set public0 up")?;
        sockets.announce(public0, address)?;
        // Another interface of the same number.
        ip("link delete public0")?;
        sockets.announce(public0, address).unwrap_err();
        ip(&format!("link add public0 index {} type veth peer name neighbour0", public0.index))?;
        ip("link set neighbour0 up")?;
        ip("link set public0 up")?;
        sockets.announce(public0, address)?;
        Ok(())
    });
}

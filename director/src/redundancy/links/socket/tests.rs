use super::*;
use lab::{Host, Lab, eventually_some};
use std::error::Error;
use std::time::Duration;
use sync::vrrp::packet::Datagram;
use tokio::runtime::{Builder, Runtime};

const LIMIT: Duration = Duration::from_secs(5);

/// Of version 3, with that virtual router's number.
fn message(vrid: u8) -> [u8; 8] {
    [0x31, vrid, 100, 0, 0, 100, 0, 0]
}

fn runtime() -> Result<Runtime, Box<dyn Error>> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn open(runtime: &Runtime, host: &Host, local: IpAddr, group: Option<u8>) -> Result<Sockets, Box<dyn Error>> {
    let group = group.and_then(NonZeroU8::new);
    let place = Place { interface: "eth0".into(), local, group };
    let handle = runtime.handle();
    let opened = host.enter(|| {
        let _guard = handle.enter();
        Sockets::open(&place)
    })?;
    Ok(opened?)
}

/// What has come: the virtual router's number, source, destination and hops.
fn next(sockets: &Sockets, v4: bool) -> Option<(u8, IpAddr, IpAddr, u8)> {
    let mut buffer = [0; 100];
    let arrival = sockets.inlet().receive(&mut buffer).ok()?;
    let bytes = buffer.get(..arrival.length)?;
    if v4 {
        let Datagram { source, destination, hops, payload } = Datagram::from_ipv4(bytes).ok()?;
        return Some((*payload.get(1)?, source, destination, hops));
    }
    Some((*bytes.get(1)?, arrival.source, arrival.destination.into(), arrival.hops))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn members_of_a_group_hear_their_own_virtual_router_alone_and_others_hear_none() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        lab.settle()?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let runtime = runtime()?;
        for (first, second, group) in [
            (ip("192.168.1.33"), ip("192.168.1.34"), IpAddr::from(GROUP_V4)),
            (ip("fd00:1::33"), ip("fd00:1::34"), GROUP_V6.into()),
        ] {
            let speaker = open(&runtime, lb1, first, Some(51))?;
            let member = open(&runtime, lb2, second, Some(51))?;
            let other = open(&runtime, lb2, second, None)?;
            let v4 = first.is_ipv4();
            speaker.send(&message(52), group)?;
            speaker.send(&message(51), group)?;
            speaker.send(&message(53), second)?;
            let heard = |sockets: &Sockets| eventually_some(LIMIT, "it hears one", || next(sockets, v4));
            assert_eq!(heard(&member)?, (51, first, group, HOPS), "not that of virtual router 52");
            assert_eq!(heard(&other)?, (53, first, second, HOPS), "which came last");
            assert_eq!((next(&member, v4), next(&other, v4)), (None, None));
            assert_eq!(next(&speaker, v4), None, "nobody hears itself");
        }
        Ok(())
    });
}

#[test]
fn what_waits_is_taken_before_the_runtime_knows_of_it() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let runtime = runtime()?;
        let (first, second) = (ip("192.168.1.33"), ip("192.168.1.34"));
        let (speaker, hearer) = (open(&runtime, lb1, first, None)?, open(&runtime, lb2, second, None)?);
        for vrid in 1..=3 {
            speaker.send(&message(vrid), second)?;
        }
        // Nothing has run the runtime: it has not asked the kernel.
        for vrid in 1..=3 {
            let heard = eventually_some(LIMIT, "it hears one", || next(&hearer, true))?;
            assert_eq!(heard.0, vrid);
        }
        assert_eq!(next(&hearer, true), None);
        // And it does tell of the next one.
        speaker.send(&message(4), second)?;
        runtime.block_on(async {
            while next(&hearer, true).is_none() {
                hearer.inlet().readable().await;
            }
        });
        Ok(())
    });
}

#[test]
fn an_address_or_interface_that_is_missing_is_an_error() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let host = &lab.directors()[0];
        let runtime = runtime()?;
        assert!(open(&runtime, host, ip("192.168.1.99"), None).is_err());
        assert!(open(&runtime, host, ip("fd00:1::99"), Some(1)).is_err());
        host.run("ip link set eth0 down")?;
        host.run("ip link set eth0 name eth7")?;
        let error = open(&runtime, host, ip("192.168.1.33"), None).unwrap_err();
        assert!(error.to_string().contains("No such device"), "{error}");
        Ok(())
    });
}

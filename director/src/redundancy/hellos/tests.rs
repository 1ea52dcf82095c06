use super::*;
use crate::redundancy::Addresses;
use crate::sample;
use director_core::model::{Attachment, Mode, Redundancy, Side};
use std::error::Error;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::Arc;
use sync::vrrp::authentication::{Key, Keyring};
use sync::vrrp::machine::Role;
use sync::vrrp::timing::{Interval, Priority};
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn Error>>;

const LIMIT: Duration = Duration::from_secs(20);

/// lb1's or lb2's part, both on this machine's loopback, where `addresses` are theirs.
fn router(node: &str, addresses: [&str; 2], secret: Option<u8>) -> Router {
    let mut router = sample::router();
    let mut nodes = (*router.nodes).clone();
    for (node, address) in nodes.values_mut().zip(addresses) {
        node.public = Attachment { interface: "lo".into(), addresses: vec![address.parse().unwrap()] };
    }
    let settings =
        Redundancy { links: vec![Side::Public], mode: Mode::Unicast, ..(*router.settings).clone() };
    router.keyring = secret.map(|secret| Keyring::new(Key::new(1, &[secret; 32]).unwrap(), None).unwrap());
    (router.nodes, router.settings, router.node) = (Arc::new(nodes), Arc::new(settings), node.to_owned());
    router
}

fn hello(node: &str) -> Hello {
    Hello {
        node: node.into(),
        instance: 1,
        role: Role::Backup,
        priority: Priority::DEFAULT,
        lowered: 0,
        fit: true,
        caught_up: true,
        stood_down: false,
        chosen: false,
        configuration: "0123456789abcdef".into(),
        version: "0.1.0".into(),
        interval: Interval::DEFAULT,
        refuses: None,
    }
}

fn index(interface: &str) -> Option<u32> {
    if_nametoindex(interface).ok()
}

struct End {
    hellos: Hellos,
    told: crate::redundancy::Told,
}

impl End {
    fn open(router: &Router) -> Result<Self, Box<dyn Error>> {
        let (teller, told) = Teller::new();
        let mut hellos = Hellos::new(1, &Sequences::new(), teller);
        let view = View::new(router, &Addresses::default())?;
        assert_eq!(hellos.configure(at(0), Some((&view, router))), []);
        hellos.revive(index);
        hellos.tell(hello(&router.node));
        Ok(Self { hellos, told })
    }

    /// What comes, once something has.
    async fn receive(&mut self, now: Time) -> Result<Vec<Said>, Box<dyn Error>> {
        timeout(LIMIT, self.hellos.readable()).await?;
        Ok(self.hellos.receive(now))
    }

    fn news(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(Some(news)) = futures_util::FutureExt::now_or_never(self.told.next()) {
            all.push(if let News::Trouble { text } = news.what { text } else { format!("{:?}", news.what) });
        }
        all
    }

    fn discards(&self) -> Vec<(&'static str, u64)> {
        self.hellos.discards().collect()
    }
}

fn at(seconds: u64) -> Time {
    Time::default() + Duration::from_secs(seconds)
}

/// In a namespace of its own, whose loopback is up.
fn test(body: impl AsyncFnOnce() -> Outcome) -> Outcome {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    assert!(up.success());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(body())
}

#[test]
fn directors_hear_each_other_by_either_family_signed_or_not() {
    lab::test(|| {
        test(async || {
            Command::new("ip").args(["address", "add", "fd00::2/128", "dev", "lo"]).status()?;
            for (secret, addresses) in [
                (None, ["127.0.0.1/8", "127.0.0.2/8"]),
                (Some(7), ["127.0.0.1/8", "127.0.0.2/8"]),
                (Some(7), ["::1/128", "fd00::2/128"]),
            ] {
                let mut lb1 = End::open(&router("lb1", addresses, secret))?;
                let mut lb2 = End::open(&router("lb2", addresses, secret))?;
                assert_eq!(
                    lb2.hellos.deserted(),
                    secret.is_some(),
                    "another product says none, and signs nothing"
                );
                lb1.hellos.speak(at(1));
                let said = lb2.receive(at(1)).await?;
                let first: IpAddr = addresses[0].split('/').next().unwrap_or_default().parse()?;
                let peer = Peer {
                    priority: Priority::DEFAULT,
                    lowered: 0,
                    fit: true,
                    caught_up: true,
                    active: false,
                    stood_down: false,
                    chosen: false,
                };
                assert_eq!(said, [(first, Some(peer))]);
                assert_eq!(lb2.news(), ["PeerHeard { node: \"lb1\" }"]);
                let [status] = &lb2.hellos.status(at(2))[..] else { return Err("one peer".into()) };
                assert!(status.reachable && status.heard_seconds == Some(1.0));
                assert!(status.says.as_ref().is_some_and(|says| says.same_configuration));

                assert!(!lb2.hellos.deserted());
                assert_eq!(lb2.hellos.expire(at(3)), []);
                assert_eq!(lb2.hellos.expire(at(4)), [(first, None)]);
                assert!(lb2.hellos.deserted());
                assert_eq!(lb2.news(), ["PeerSilent { node: \"lb1\" }"]);
                assert_eq!((lb2.discards(), lb1.discards()), (vec![], vec![]));
                assert_eq!(lb2.hellos.sequences()[HEARD].len(), usize::from(secret.is_some()));
            }
            Ok(())
        })
    });
}

#[test]
fn what_crossed_a_router_or_is_no_hello_is_refused_and_told_of_once() {
    lab::test(|| {
        test(async || {
            let router = router("lb1", ["127.0.0.1/8", "127.0.0.2/8"], None);
            let mut lb1 = End::open(&router)?;
            for (ttl, payload, times) in [(64, "{}", 2), (255, "{}", 3)] {
                let socket = UdpSocket::bind("127.0.0.2:0")?;
                socket.set_ttl(ttl)?;
                for _ in 0..times {
                    socket.send_to(payload.as_bytes(), ("127.0.0.1", router.settings.hello_port))?;
                }
                assert_eq!(lb1.receive(at(1)).await?, []);
            }
            UdpSocket::bind("127.0.0.3:0")?.send_to(b"{}", ("127.0.0.1", router.settings.hello_port))?;
            assert_eq!(lb1.receive(at(1)).await?, []);
            assert_eq!(lb1.discards(), [("hop_limit", 2), ("not_hello", 3), ("stranger", 1)]);
            let news = lb1.news();
            assert_eq!(news.len(), 3, "{news:?}");
            assert!(
                news[0]
                    .starts_with("a hello from 127.0.0.2 on \"lo\" is refused: its TTL or hop limit is 64"),
                "{news:?}"
            );
            Ok(())
        })
    });
}

#[test]
fn an_address_that_is_not_here_is_told_of_and_tried_again() {
    lab::test(|| {
        test(async || {
            let mut lb1 = End::open(&router("lb1", ["192.0.2.1/32", "127.0.0.2/8"], None))?;
            assert!(lb1.hellos.wanting());
            lb1.hellos.revive(index);
            let [news] = &lb1.news()[..] else { return Err("one piece of news".into()) };
            assert!(
                news.starts_with("can't say hello by \"lo\" from 192.0.2.1 port 3780: ")
                    && news.contains("--node"),
                "{news}"
            );
            Command::new("ip").args(["address", "add", "192.0.2.1/32", "dev", "lo"]).status()?;
            lb1.hellos.revive(index);
            assert!(!lb1.hellos.wanting());
            lb1.hellos.configure(at(0), None);
            assert!(!lb1.hellos.wanting() && lb1.hellos.status(at(0)).is_empty());
            assert_eq!(lb1.hellos.deadline(), None);
            Ok(())
        })
    });
}

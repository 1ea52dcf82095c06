//! What `director explain` says is what the kernel then does.

use lab::farm::{VIP, VIP6};
use lab::{Director, Lab, Target};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SERVERS: [&str; 3] = ["web1", "web2", "web3"];

/// A director in front of three servers, with a service of these options.
fn configuration(lab: &Lab, options: &str) -> String {
    lab.configuration(&format!(
        "
        services:
          web:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [80, 443] }}
            {options}
            servers: {{ web1: {{ weight: 4 }}, web2: {{ weight: 2 }}, web3: {{}} }}
        "
    ))
}

/// Clients of the VIP's family.
fn clients(vip: IpAddr) -> Vec<IpAddr> {
    let text = |number: u32| match vip {
        IpAddr::V4(_) => format!("198.51.100.{}", number * 9 + 1),
        IpAddr::V6(_) => format!("2001:db8:1::{:x}", number * 0x1357 + 1),
    };
    (0..24).filter_map(|number| text(number).parse().ok()).collect()
}

fn explain(director: &Director, client: IpAddr, called: SocketAddr) -> lab::Result<Value> {
    let text = director.cli(&["explain", &client.to_string(), &called.to_string(), "--output", "json"])?;
    serde_json::from_str(&text)
        .map_err(|_| lab::Error::Answer { question: "explain".to_owned(), answer: text })
}

/// Server of each client by what is explained and by what happens.
fn compare(lab: &Lab, director: &Director, vip: IpAddr) -> Outcome {
    for client in clients(vip) {
        let called = SocketAddr::new(vip, 80);
        let explained = explain(director, client, called)?;
        let answer = &explained["answer"];
        assert_eq!(answer["outcome"], "server", "{client}: {explained:#}");
        let greeting = lab.client().call(&Target::new(called).from([client]))?;
        let greeting = greeting.map_err(|failure| format!("{client}: {failure:?}"))?;
        assert_eq!(answer["server"], greeting.server.as_str(), "{client}: {explained:#}");
    }
    Ok(())
}

#[test]
fn hashes_and_failover_are_foretold() {
    lab::test(|| {
        let lab = Lab::new(&SERVERS)?;
        let _servers = lab.start_servers()?;
        let director = lab.start_director("lb1", &configuration(&lab, "scheduler: mh"))?;
        for options in [
            "scheduler: mh",
            "scheduler: sh",
            "scheduler: sh\n            hash_granularity: 24\n            hash_granularity6: 64",
            "scheduler: dh",
            "scheduler: fo",
        ] {
            director.reload(&configuration(&lab, options))?;
            [VIP, VIP6].into_iter().try_for_each(|vip| compare(&lab, &director, vip))?;
            director.cli(&["weight", "web", "web1", "0"])?;
            [VIP, VIP6].into_iter().try_for_each(|vip| compare(&lab, &director, vip))?;
            director.cli(&["reset", "web", "web1"])?;
        }
        Ok(())
    });
}

#[test]
fn returning_clients_are_foretold_until_their_server_is_drained() {
    lab::test(|| {
        let lab = Lab::new(&SERVERS)?;
        let _servers = lab.start_servers()?;
        let options = "persistence: { timeout: 60s, granularity: 24, granularity6: 64 }";
        let director = lab.start_director("lb1", &configuration(&lab, options))?;
        for vip in [VIP, VIP6] {
            let called = SocketAddr::new(vip, 443);
            let client = clients(vip)[0];
            let explained = explain(&director, client, called)?;
            assert_eq!(explained["answer"]["outcome"], "one-of", "{explained:#}");
            let first = lab.client().call(&Target::new(called).from([client]))?;
            let first = first.map_err(|failure| format!("{failure:?}"))?.server;
            // Everybody of its network has its entry now.
            compare(&lab, &director, vip)?;
            let explained = explain(&director, clients(vip)[1], called)?;
            assert_eq!(explained["answer"]["server"], first.as_str());
            director.cli(&["drain", "web", &first])?;
            let explained = explain(&director, client, called)?;
            assert_eq!(explained["answer"]["outcome"], "one-of", "{explained:#}");
            let text = director.cli(&["explain", &client.to_string(), &called.to_string()])?;
            assert!(text.contains(&format!("an entry for {first}, which may not be returned to")), "{text}");
            assert!(text.contains("drained by an operator"), "{text}");
            director.cli(&["enable", "web", &first])?;
        }
        Ok(())
    });
}

#[test]
fn refusals_and_foreign_addresses_are_foretold() {
    lab::test(|| {
        let lab = Lab::new(&SERVERS)?;
        let director = lab.start_director("lb1", &configuration(&lab, ""))?;
        for (called, expected) in [
            ("192.168.1.35:81", "refused"),
            ("[fd00:1::35]:81", "refused"),
            ("192.168.1.99:80", "not-handled"),
        ] {
            let called: SocketAddr = called.parse()?;
            let explained = explain(&director, clients(called.ip())[0], called)?;
            assert_eq!(explained["answer"]["outcome"], expected, "{explained:#}");
        }
        for server in SERVERS {
            director.cli(&["weight", "web", server, "0"])?;
        }
        let explained = explain(&director, clients(VIP)[0], SocketAddr::new(VIP, 80))?;
        assert_eq!(explained["answer"]["outcome"], "refused", "{explained:#}");
        let mixed = director.try_cli(&["explain", "2001:db8::1", "192.168.1.35:80"])?;
        assert!(!mixed.status.success());
        Ok(())
    });
}

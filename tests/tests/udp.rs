//! UDP flows are balanced as connections are.

use lab::Lab;
use lab::farm::{VIP, VIP6};
use std::collections::BTreeMap;
use std::net::IpAddr;

#[test]
fn flows_are_shared_out_and_stay_where_they_are() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(
            "
                services:
                  names:
                    vips: [192.168.1.35, 'fd00:1::35']
                    ports: { both: 53, udp: '400-500' }
                    servers: { exchange1: { weight: 3 }, exchange2: { weight: 1 } }
                ",
        )?;
        for (vip, from) in [(VIP, "192.168.1.101"), (VIP6, "2001:db8:2::1")] {
            let mut flows = BTreeMap::new();
            // A port that another client has just given up would still belong to that one's flow.
            let mut clients = Vec::new();
            for number in 0..80 {
                let client = lab.client().udp(from.parse::<IpAddr>()?)?;
                let port = if number % 2 == 0 { 53 } else { 443 };
                let answers: Vec<_> = (0..3).map(|_| client.ask((vip, port).into())).collect();
                let first = answers[0].clone().map_err(|failure| format!("{port}: {failure:?}"))?;
                assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&first)), "{answers:?}");
                assert_eq!((first.port, first.peer.ip()), (port, from.parse()?));
                clients.push(client);
                *flows.entry(first.server).or_insert(0) += 1;
            }
            assert_eq!(flows, BTreeMap::from([("exchange1".to_owned(), 60), ("exchange2".to_owned(), 20)]));
        }
        Ok(())
    });
}

//! What operators see is what happens.

use lab::farm::{VIP, VIP6};
use lab::{Host, Lab, Target, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Time that it may take until rates follow.
const RATES: Duration = Duration::from_secs(60);

const FARM: &str = "
    services:
      exchange:
        mark: 80
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80], udp: 53 }
        servers: { exchange1: { weight: 3 }, exchange2: { weight: 1 } }
    management:
      exchange1-admin: { vip: 192.168.1.36, server: exchange1, mark: 1 }
    api:
      listen: 127.0.0.1:9090
    ";

/// What the host's loopback API answers, headers included.
fn get(host: &Host, path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut stream = host.enter(|| TcpStream::connect("127.0.0.1:9090"))??;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:9090\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn status_and_metrics_show_the_traffic() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(FARM)?;
        let client = lab.client();
        assert_eq!(client.visit(&Target::ports(VIP, &[25, 80]), 40)?.made(), 40);
        assert_eq!(client.visit(&Target::ports(VIP6, &[25, 80]), 8)?.made(), 8);
        let hold = client.hold(&Target::new((VIP, 25).into()), 8)?;
        client.visit(&Target::new("192.168.1.36:2525".parse()?), 5)?;

        let field = |server: &str, field: &str| {
            director.server("exchange", server).ok().and_then(|server| server["traffic"][field].as_u64())
        };
        for (server, connections, active) in [("exchange1", 42, 6), ("exchange2", 14, 2)] {
            eventually(LIMIT, "open connections are counted", || field(server, "active") == Some(active))?;
            assert_eq!(field(server, "connections"), Some(connections), "{server}");
            // A connection takes five packets each way at least, of 52 bytes at least.
            for (packets, bytes) in [("packets_in", "bytes_in"), ("packets_out", "bytes_out")] {
                let (packets, bytes) = (field(server, packets), field(server, bytes));
                assert!(packets >= Some(4 * connections) && bytes >= packets.map(|packets| 40 * packets));
            }
        }
        assert_eq!(director.status()?["management"][0]["traffic"]["connections"], 5);

        let metrics = get(director.host(), "/metrics")?;
        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        for name in ["exchange1\"} 42", "exchange2\"} 14"] {
            let line =
                |line: &&str| line.starts_with("director_server_connections_total{") && line.ends_with(name);
            assert!(metrics.lines().any(|it| line(&it)), "{name}\n{metrics}");
        }
        assert!(get(director.host(), "/v1/status")?.contains("\"exchange\""));
        assert_eq!(hold.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn rates_are_measured_over_the_time_that_the_status_tells() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(FARM)?;
        let rates = || {
            let status = director.status().ok()?;
            let (rates, seconds) = (&status["services"][0]["rates"], status["rates_seconds"].as_f64()?);
            Some((rates["connections"].as_f64()?, rates["packets_out"].as_f64()?, seconds))
        };
        eventually(RATES, "there are rates", || rates().is_some())?;
        assert_eq!(lab.client().visit(&Target::ports(VIP, &[25, 80]), 100)?.made(), 100);
        eventually(RATES, "the connections are in the rates", || {
            rates().is_some_and(|(connections, packets, seconds)| {
                // Those of both servers and their sum are rounded to a tenth.
                let error = 0.15 * seconds + 0.1;
                (connections * seconds - 100.0).abs() <= error && packets * seconds + error >= 400.0
            })
        })?;
        assert!(director.cli(&["status", "--rates"])?.contains("InPPS"));
        eventually(RATES, "they fall out of them", || {
            rates().is_some_and(|(connections, packets, _)| (connections, packets) == (0.0, 0.0))
        })?;
        Ok(())
    });
}

#[test]
fn the_connection_mark_names_the_server() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(FARM)?;
        let hold = lab.client().hold(&Target::new((VIP, 25).into()), 8)?;
        let connections =
            director.host().run("conntrack -L -p tcp --orig-dst 192.168.1.35 --state ESTABLISHED")?;
        let marks_of = |server: &str| {
            let words =
                connections.lines().filter(|line| line.contains(server)).flat_map(str::split_whitespace);
            let mut marks: Vec<&str> = words.filter(|word| word.starts_with("mark=")).collect();
            assert!(marks.iter().all(|mark| *mark == marks[0]), "{connections}");
            marks.dedup();
            marks.pop().map(str::to_owned)
        };
        let (first, second) = (marks_of("src=10.0.1.1 "), marks_of("src=10.0.1.2 "));
        assert!(first.is_some() && second.is_some() && first != second, "{connections}");
        assert_eq!(hold.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn the_socket_is_for_root_and_the_group() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let director = lab.start_director("lb1", &lab.configuration(FARM))?;
        let mode = std::fs::metadata(director.socket())?.permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        Ok(())
    });
}

//! The lab itself: without it, no other result means anything.

use lab::farm::{EXCHANGE_PORTS, VIP, VIP6};
use lab::{Failure, Lab, Target, addresses, eventually, sandbox};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::panic::{catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn balances_by_a_ruleset_written_by_hand() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let servers = lab.start_servers()?;
        for (vip, reals) in [(VIP, ["10.0.1.1", "10.0.1.2"]), (VIP6, ["fd00:2::1", "fd00:2::2"])] {
            lab::baseline::balance_by_hand(&lab.directors()[0], vip, &EXCHANGE_PORTS, &addresses(&reals)?)?;
            let tally = lab.client().visit(&Target::ports(vip, &EXCHANGE_PORTS).parallel(4), 1400)?;
            assert_eq!(
                (tally.by("exchange1"), tally.by("exchange2"), tally.failed()),
                (700, 700, 0),
                "{tally}"
            );
        }
        assert_eq!(servers[0].arrivals(), 1400);
        assert_eq!(servers[1].arrivals_on(25), 200);
        Ok(())
    });
}

#[test]
fn tells_how_a_connection_failed() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let server = lab::Server::start_on(&lab.servers()[0], &[80], &[53])?;
        let director = &lab.directors()[0];
        lab::baseline::balance_by_hand(director, VIP, &[80, 81], &addresses(&["10.0.1.1"])?)?;
        let client = lab.client();
        assert_eq!(
            client.call(&Target::new(SocketAddr::new(VIP, 80)))?.map(|greeting| greeting.server),
            Ok("exchange1".into())
        );
        assert_eq!(client.call(&Target::new(SocketAddr::new(VIP, 81)))?, Err(Failure::Refused));
        let udp = client.udp("192.168.1.101".parse()?)?;
        assert_eq!(udp.ask(SocketAddr::new(VIP, 9)), Err(Failure::Refused));
        assert!(client.ping(VIP)?);
        assert!(!client.ping("192.168.1.99".parse()?)?);

        let hold = client.hold(&Target::new(SocketAddr::new(VIP, 80)), 3)?;
        assert_eq!((hold.so_far().made(), server.open_connections()), (3, 3));
        eventually(Duration::from_secs(5), "data moves", || hold.exchanges() >= 9)?;
        server.stop();
        eventually(Duration::from_secs(5), "all have failed", || hold.so_far().failed() == 3)?;
        assert_eq!(client.call(&Target::new(SocketAddr::new(VIP, 80)))?, Err(Failure::Refused));
        Ok(())
    });
}

#[test]
fn any_remote_address_may_be_a_client() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        lab::baseline::balance_by_hand(&lab.directors()[0], VIP, &[25], &addresses(&["10.0.1.1"])?)?;
        lab::baseline::balance_by_hand(&lab.directors()[0], VIP6, &[25], &addresses(&["fd00:2::1"])?)?;
        for (vip, from) in
            [(VIP, ["198.51.100.7", "203.0.113.200"]), (VIP6, ["2001:db8:1::7", "fd00:1::116"])]
        {
            let target = Target::new(SocketAddr::new(vip, 25)).from(addresses(&from)?).parallel(8);
            let tally = lab.client().visit(&target, 200)?;
            assert_eq!((tally.made(), tally.failed()), (200, 0), "{tally}");
        }
        Ok(())
    });
}

#[test]
fn tells_how_long_nobody_answered() {
    lab::test(|| {
        let lab = Lab::with(1, &["exchange1"])?;
        let _servers = lab.start_servers()?;
        let director = &lab.directors()[0];
        lab::baseline::balance_by_hand(director, VIP, &[80], &addresses(&["10.0.1.1"])?)?;
        let to = SocketAddr::new(VIP, 80);
        let pinger = lab.client().ping_tcp(to, Duration::from_millis(5), Duration::from_millis(500))?;
        pinger.steady(10)?;
        let before = Instant::now();
        director.unplug("eth0")?;
        eventually(Duration::from_secs(10), "connections fail", || {
            pinger.gaps().iter().any(|gap| gap.failed > 10)
        })?;
        director.plug("eth0")?;
        pinger.steady(10)?;
        let (after, attempts) = (Instant::now(), pinger.stop()?);
        let gaps = lab::client::gaps(&attempts);
        let [gap] = gaps.as_slice() else { return Err(format!("one gap: {gaps:?}").into()) };
        let whole = after - before + Duration::from_secs(1);
        assert!(gap.length() > Duration::from_millis(50) && gap.length() < whole, "{gap}");
        Ok(())
    });
}

#[test]
fn a_failure_inside_fails_the_test() {
    let outcome = catch_unwind(|| lab::test(|| Err("the reason".into())));
    let panic = outcome.expect_err("it fails");
    if sandbox::inside() {
        resume_unwind(panic);
    }
    let message = panic.downcast_ref::<String>().expect("a text");
    assert!(message.contains("the reason"), "{message}");
}

/// Names a pipe to [`stays_until_killed`].
const PIPE: &str = "DIRECTOR_LAB_PIPE";

#[test]
fn nothing_is_left_after_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["stays_until_killed", "--exact", "--ignored"])
        .env(PIPE, &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = BufReader::new(File::open(&path).unwrap());
    let mut line = String::new();
    pipe.read_line(&mut line).unwrap();
    assert_eq!(line, "running\n");
    test.kill().unwrap();
    test.wait().unwrap();
    // Ends when the last process that holds the pipe has ended.
    pipe.read_to_string(&mut line).unwrap();
}

#[test]
#[ignore = "serves another test, which kills it"]
fn stays_until_killed() {
    let Some(path) = std::env::var_os(PIPE) else { return };
    lab::test(|| {
        let lab = Lab::exchange()?;
        let pipe = File::options().write(true).open(&path)?;
        let mut command = Command::new("sh");
        command.args(["-c", "echo running; trap '' TERM HUP INT; sleep 1000; true"]).stdout(pipe);
        lab.servers()[0].spawn(&mut command)?.wait()?;
        Ok(())
    });
}

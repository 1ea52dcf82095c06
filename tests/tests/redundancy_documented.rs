//! What the documentation shows of a virtual router works as it stands there.

use lab::farm::VIP;
use lab::{Host, Keepalived, Lab, eventually, keepalived, sandbox};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../deploy/examples/exchange.yaml");
const REFERENCE: &str = include_str!("../../docs/configuration.md");

const LIMIT: Duration = Duration::from_secs(30);

/// The example, with a key file of the sandbox's.
fn example() -> io::Result<String> {
    let path = format!("{}/vrrp.key", sandbox::DIRECTORY);
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(b"1 a-test-has-no-secrets\n")?;
    Ok(EXAMPLE.replace("/etc/director/vrrp.key", &path))
}

/// The indented text under `heading` that begins with `first`, without what it is indented by.
fn quoted(heading: &str, first: &str) -> Option<String> {
    let (_, section) = REFERENCE.split_once(&format!("\n### {heading}\n"))?;
    let from = section.find(&format!("    {first}"))?;
    let lines = section.get(from..)?.lines().map_while(|line| line.strip_prefix("    "));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// `configuration` with another section `redundancy`.
fn with_redundancy(configuration: &str, section: &str) -> Option<String> {
    let (before, rest) = configuration.split_once("\nredundancy:")?;
    let (_, after) = rest.split_once("\n\n")?;
    Some(format!("{before}\n{section}\n\n{after}"))
}

fn holds(host: &Host) -> bool {
    host.has_address(VIP).unwrap_or(false)
}

#[test]
fn the_example_makes_a_pair() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let mut first = lab.start_director("lb1", &example()?)?;
        let second = lab.start_director("lb2", &example()?)?;
        eventually(LIMIT, "lb1 is Active", || holds(lb1) && !holds(lb2))?;
        let status = second.cli(&["status"])?;
        assert!(status.contains("signed") && !status.contains("not signed"), "{status}");
        first.stop()?;
        eventually(LIMIT, "lb2 is Active", || holds(lb2) && !holds(lb1))?;
        Ok(())
    });
}

#[test]
fn keepalived_works_as_the_reference_says() {
    lab::test_with(&[keepalived::NEED], || {
        let heading = "keepalived beside a director";
        let theirs = quoted(heading, "global_defs").ok_or("a configuration of keepalived")?;
        let ours = quoted(heading, "redundancy:").ok_or("a section")?;
        let ours = with_redundancy(EXAMPLE, &format!("{ours}\n  preempt_delay: 1s")).ok_or("an example")?;

        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let mut peer = Keepalived::new(lb2.clone(), &theirs)?;
        peer.start()?;
        eventually(LIMIT, "keepalived has the VIP while it is alone", || holds(lb2))?;
        let mut director = lab.start_director("lb1", &ours)?;
        eventually(LIMIT, "the director takes over by its priority", || holds(lb1) && !holds(lb2))?;
        director.kill()?;
        eventually(LIMIT, "keepalived takes over from a dead one", || holds(lb2) && !holds(lb1))?;
        director.start()?;
        eventually(LIMIT, "the director comes back", || holds(lb1) && !holds(lb2))?;
        director.stop()?;
        eventually(LIMIT, "keepalived takes over from one that leaves", || holds(lb2) && !holds(lb1))?;
        assert!(!peer.log().contains("invalid"), "{}", peer.log());
        Ok(())
    });
}

//! What operators see of a virtual router, and do with it.

use lab::{Api, Director, Lab, Pair, eventually};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A fast virtual router in which lb1 is to be Active, and a service.
fn configuration(more: &str) -> String {
    format!(
        "
        redundancy:
          vrid: 51
          interval: 100ms
          priority: {{ lb1: 150, lb2: 100 }}
          preempt: never
          {more}
        services:
          web:
            vip: 192.168.1.35
            ports: {{ tcp: 80 }}
            scheduler: rr
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
        "
    )
}

fn other(name: &str) -> &'static str {
    if name == "lb1" { "lb2" } else { "lb1" }
}

/// What a command that fails says, without the log.
fn fails(director: &Director, arguments: &[&str]) -> lab::Result<String> {
    let output = director.try_cli(arguments)?;
    assert!(!output.status.success(), "{arguments:?} {output:?}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Waits until the Active knows that the other could take over, for it has said so since; and the other who is Active.
fn know_each_other(pair: &Pair) -> lab::Result<()> {
    let active = pair.one_active()?;
    pair[&active].shows("its peer could take over", |status| {
        let peer = &status["peers"][0];
        let fits = peer["says"]["fit"] == true && peer["says"]["caught_up"] == true;
        fits && peer["heard_seconds"].as_f64() < status["since_seconds"].as_f64()
    })?;
    pair[other(&active)].shows("it hears the Active", |status| status["active"]["node"] == *active)
}

#[test]
fn a_planned_failover_says_who_takes_over_and_how_long_it_took() {
    lab::test(|| {
        let (_lab, pair, _servers) = Lab::exchange()?.serve_pair(&configuration(""))?;
        know_each_other(&pair)?;
        let first = pair.one_active()?;
        let second = other(&first);

        let refused = fails(&pair[second], &["failover"])?;
        assert!(refused.contains("this director is not Active: ask the one that is"), "{refused}");
        assert!(refused.contains(&format!("hint: ask {first}")), "{refused}");
        let refused = fails(&pair[&first], &["failover", "--to", "lb3"])?;
        assert!(refused.contains("there is no node named \"lb3\""), "{refused}");
        assert!(refused.contains("hint: did you mean"), "{refused}");
        let refused = fails(&pair[&first], &["failover", "--to", &first])?;
        assert!(refused.contains("this director is Active already: name another one"), "{refused}");
        pair.active_is(&first)?;

        let said = pair[&first].cli(&["failover"])?;
        assert!(said.starts_with(&format!("the addresses are off here; {second} takes over\n")), "{said}");
        assert!(said.contains(&format!("\n{second} is Active, heard 0.")), "{said}");
        pair.active_is(second)?;
        pair.held_by(&[second], &[lab::farm::VIP])?;
        know_each_other(&pair)?;

        let said = pair[second].cli(&["--output", "json", "failover", "--to", &first])?;
        let said: Value = serde_json::from_str(&said)?;
        assert_eq!((&said["to"], &said["active"]), (&first.clone().into(), &first.clone().into()), "{said}");
        assert!(said["seconds"].as_f64().is_some_and(|seconds| seconds < 10.0), "{said}");
        pair.active_is(&first)?;

        let status = pair[second].cli(&["status"])?;
        assert!(status.contains(&format!("; {first} is Active with priority ")), "{status}");
        assert!(status.contains("! this director was made to step down"), "{status}");
        let status = pair[&first].cli(&["status"])?;
        assert!(status.contains("Active for 0s: ") || status.contains("Active for "), "{status}");
        assert!(status.contains(&format!("peer {second} (")), "{status}");

        let events = pair[second].cli(&["events"])?;
        for line in [
            format!("Active: {first} left"),
            format!("Backup: the operator wants {first} to be Active"),
            "not stepping down: this director is not Active: ask the one that is".to_owned(),
        ] {
            assert!(events.contains(&line), "{line}\n{events}");
            assert!(pair[second].log().contains(&line), "the log has it too: {line}");
        }
        let last: Value =
            serde_json::from_str(&pair[second].cli(&["--output", "json", "events", "--last", "1"])?)?;
        assert_eq!(last.as_array().map(Vec::len), Some(1), "{last}");
        Ok(())
    });
}

#[test]
fn events_are_followed_as_they_happen() {
    lab::test(|| {
        let (_lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&configuration(""))?;
        know_each_other(&pair)?;
        let first = pair.one_active()?;
        let host = pair[other(&first)].host().clone();
        let (binary, socket) = (lab::director::binary()?, pair[other(&first)].socket());
        let (binary, socket) = (binary.display().to_string(), socket.display().to_string());
        let follow = ["timeout", "6", &binary, "--socket", &socket, "events", "--follow", "--last", "1"];
        let followed = std::thread::scope(|scope| {
            let followed = scope.spawn(|| host.output(follow, ""));
            std::thread::sleep(Duration::from_secs(2));
            pair[&first].kill()?;
            followed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let said = String::from_utf8_lossy(&followed.stdout);
        let lines: Vec<&str> = said.lines().collect();
        let [_last, silence, rest @ ..] = &lines[..] else { return Err(said.into()) };
        assert!(silence.ends_with(" ! Active: no adverts on any link"), "{said}");
        let gone = format!(" ! {first} says nothing any more");
        assert!(rest.iter().any(|line| line.contains(&gone)) || rest.is_empty(), "{said}");
        assert_eq!(followed.status.code(), Some(124), "it would have gone on: {followed:?}");
        Ok(())
    });
}

#[test]
fn without_a_fit_peer_a_failover_takes_force() {
    lab::test(|| {
        let (_lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&configuration(""))?;
        know_each_other(&pair)?;
        let first = pair.one_active()?;
        pair[other(&first)].stop()?;
        pair[&first].shows("its peer is gone", |status| status["peers"][0]["reachable"] == false)?;
        let refused = fails(&pair[&first], &["failover"])?;
        assert!(refused.contains("no peer is known to be fit"), "{refused}");
        let refused = fails(&pair[&first], &["failover", "--to", other(&first)])?;
        assert!(refused.contains(&format!("{} can't be reached", other(&first))), "{refused}");
        assert_eq!(pair[&first].role()?, "active");

        let refused = fails(&pair[&first], &["failover", "--force"])?;
        assert!(refused.contains("this director is Active again: nobody else took over"), "{refused}");
        pair[&first].turns("active")?;
        Ok(())
    });
}

#[test]
fn metrics_and_another_configuration_are_told() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&configuration(""))?;
        know_each_other(&pair)?;
        let lb1 = &pair["lb1"];
        let role = lb1.role()?;
        let metrics = Api::new(lb1.socket()).ask("GET", "/metrics", "")?.body;
        for line in [
            "director_redundancy_answers 1",
            &format!("director_redundancy_role{{role=\"{role}\"}} 1"),
            "director_redundancy_configured_priority 150",
            "director_redundancy_peer_same_configuration{peer=\"lb2\"} 1",
        ] {
            assert!(metrics.contains(&format!("\n{line}\n")), "{line}\n{metrics}");
        }
        let sent = "\ndirector_redundancy_adverts_sent_total{link=\"public\",interface=\"eth0\"} ";
        assert!(metrics.contains(sent), "{metrics}");

        pair["lb2"].reload(&lab.configuration(&configuration("startup_delay: 1s")))?;
        lb1.shows("lb2 has another file", |status| {
            status["peers"][0]["says"]["same_configuration"] == false
        })?;
        let status = lb1.cli(&["status"])?;
        assert!(status.contains("! peer lb2 has another configuration"), "{status}");
        eventually(LIMIT, "it is an event", || {
            lb1.cli(&["events"]).is_ok_and(|it| it.contains("! lb2 has another configuration"))
        })?;
        Ok(())
    });
}

/// A program that notes its argument and environment, one line a run.
fn notes(folder: &Path, name: &str) -> String {
    format!(
        "notify: [/bin/sh, -c, 'echo $0-$1 $DIRECTOR_ROLE $DIRECTOR_PREVIOUS_ROLE $DIRECTOR_NODE $DIRECTOR_VRID \
         $DIRECTOR_PRIORITY >> {0}/$DIRECTOR_NODE; echo told $1; exit 3', {name}]",
        folder.display()
    )
}

#[test]
fn a_program_hears_of_each_change_of_role() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let folder = lab.servers()[0].directory()?;
        let (_lab, mut pair, _servers) = lab.serve_pair(&configuration(&notes(&folder, "told")))?;
        know_each_other(&pair)?;
        let first = pair.one_active()?;
        let second = other(&first);
        let lines = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let hears =
            |name: &str, line: &str| eventually(LIMIT, line, || lines(name).lines().any(|it| it == line));
        let priority = |name: &str| if name == "lb1" { 150 } else { 100 };
        hears(&first, &format!("told-active active backup {first} 51 {}", priority(&first)))?;
        hears(second, &format!("told-backup backup initialize {second} 51 {}", priority(second)))?;

        pair[&first].cli(&["failover"])?;
        hears(&first, &format!("told-backup backup active {first} 51 {}", priority(&first)))?;
        hears(second, &format!("told-active active backup {second} 51 {}", priority(second)))?;
        eventually(LIMIT, "the log has what it said and how it ended", || {
            let log = pair[second].log();
            log.contains("notify: sh active: told active")
                && log.contains("notify: sh active: exited with status 3")
        })?;

        pair[second].stop()?;
        let last = lines(second);
        assert!(last.contains("told-initialize initialize active "), "{last}");
        Ok(())
    });
}

#[test]
fn what_is_tracked_lowers_the_priority_or_makes_unfit() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        for host in lab.directors() {
            host.run("ip link add eth2 type veth peer name eth2-peer")?;
            host.run("ip link set eth2 up")?;
            host.run("ip link set eth2-peer up")?;
        }
        let track = "preempt_delay: 0s
          track:
            - { interface: eth2, lower: 20 }
            - { ping: 192.168.1.1, interval: 200ms, timeout: 200ms, rise: 1 }";
        let text = configuration(track).replace("preempt: never", "preempt: always");
        let (lab, pair, _servers) = lab.serve_pair(&text)?;
        pair.active_is("lb1")?;
        know_each_other(&pair)?;
        let lb1 = &pair["lb1"];
        let host = lb1.host();

        host.run("ip link set eth2-peer down")?;
        lb1.shows("its priority is lower", |status| {
            status["priority"] == 130
                && status["lowered_by"][0] == "eth2 has no carrier: priority lower by 20"
        })?;
        assert_eq!(lb1.role()?, "active", "it is still the best");

        // The client answers lb2, and lb1 no more.
        host.run("ip route add blackhole 192.168.1.1/32")?;
        pair.active_is("lb2")?;
        lb1.shows("it is not fit", |status| {
            let reasons = status["lowered_by"].to_string();
            status["fit"] == false
                && reasons.contains("ping 192.168.1.1 fails (")
                && reasons.contains("not fit")
        })?;
        let status = lb1.cli(&["status"])?;
        assert!(status.contains("! this director is not fit to be Active"), "{status}");

        host.run("ip route del blackhole 192.168.1.1/32")?;
        host.run("ip link set eth2-peer up")?;
        pair.active_is("lb1")?;
        lb1.shows("it is as configured", |status| status["priority"] == 150 && status["fit"] == true)?;
        // They are written a little after the fact.
        for text in [
            "! eth2 has no carrier: priority lower by 20",
            "! Backup: lb2 is fitter",
            "  ping 192.168.1.1 is well again",
            "  eth2 is well again",
        ] {
            eventually(LIMIT, text, || lb1.cli(&["events"]).is_ok_and(|events| events.contains(text)))?;
        }

        // What both have lost undoes no failover.
        for director in pair.directors() {
            director.host().run("ip link set eth2-peer down")?;
            director.shows("its priority is lower", |status| {
                status["priority"]
                    .as_u64()
                    .zip(status["configured_priority"].as_u64())
                    .is_some_and(|(now, configured)| now + 20 == configured)
            })?;
        }
        know_each_other(&pair)?;
        lb1.cli(&["failover"])?;
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!((lb1.role()?, pair["lb2"].role()?), ("backup".to_owned(), "active".to_owned()));
        know_each_other(&pair)?;
        pair["lb2"].cli(&["failover"])?;
        pair["lb2"].host().run("ip link set eth2-peer up")?;
        host.run("ip link set eth2-peer up")?;
        lb1.shows("it is as configured", |status| status["priority"] == 150)?;

        // What stays is not forgotten by a reload.
        host.run("ip link set eth2-peer down")?;
        lb1.shows("its priority is lower", |status| status["priority"] == 130)?;
        lb1.reload(&lab.configuration(&text.replace("lower: 20", "lower: 30")))?;
        lb1.shows("its priority is lower still", |status| status["priority"] == 120)?;
        Ok(())
    });
}

#[test]
fn a_sole_director_has_nothing_of_it() {
    lab::test(|| {
        let text = configuration("");
        let (_, services) = text.split_once("services:").ok_or("services")?;
        let (_lab, director, _servers) = Lab::exchange()?.serve(&format!("services:{services}"))?;
        let status = director.status()?;
        assert_eq!((&status["redundancy"], &status["redundancy_error"]), (&Value::Null, &Value::Null));
        let refused = fails(&director, &["failover"])?;
        assert!(
            refused.contains("there is no virtual router: the configuration has no `redundancy`"),
            "{refused}"
        );
        assert_eq!(director.cli(&["--output", "json", "events"])?, "[]\n");
        Ok(())
    });
}

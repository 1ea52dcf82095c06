//! The unit, started by systemd itself: with its limits the director can do all it has to.

use lab::{Lab, Machine, Target, eventually, sandbox};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LIMIT: Duration = Duration::from_secs(20);
const UNIT: &str = include_str!("../../deploy/systemd/director.service");
const FILE: &str = "/etc/director/director.yaml";

const FARM: &str = "
    probes:
      mail: { type: tcp, port: 25, interval: 200ms, timeout: 100ms, start: down, rise: 1 }
      echo: { type: icmp, interval: 200ms, timeout: 100ms, start: down, rise: 1 }
      own: { type: exec, command: [/bin/test, -d, /usr], interval: 1s, start: down, rise: 1 }
    services:
      exchange:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80] }
        scheduler: wlc
        persistence: { timeout: 10m }
        probes: [mail, echo, own]
        servers: { exchange1: {}, exchange2: {} }
    redundancy:
      vrid: 51
      interval: 100ms
      priority: { lb1: 150 }
      preempt: always
      virtual_mac: true
      notify: [/bin/sh, -c, 'sleep 0.5; echo it is told of $0']
    ";

/// Everything below `/` of the machine.
fn files(lab: &Lab, configuration: &str) -> Result<PathBuf> {
    let files = lab.host("lb1").directory()?.join("files");
    let (units, own) = (files.join("etc/systemd/system"), files.join("etc/director"));
    fs::create_dir_all(&units)?;
    fs::create_dir_all(&own)?;
    let unit = UNIT.replace("/usr/bin/director run", "/opt/director run --node lb1");
    fs::write(units.join("director.service"), unit.replace("/usr/bin/director", "/opt/director"))?;
    fs::write(own.join("director.yaml"), configuration)?;
    Ok(files)
}

fn status(machine: &Machine) -> Result<Value> {
    Ok(serde_json::from_str(&machine.run(&["/opt/director", "--output", "json", "status"])?)?)
}

fn works(lab: &Lab) -> Result<()> {
    for vip in ["192.168.1.35", "fd00:1::35"] {
        let tally = lab.client().visit(&Target::ports(vip.parse()?, &[25, 80]), 8)?;
        assert_eq!((tally.made(), tally.failed()), (8, 0), "{vip}: {tally}");
    }
    Ok(())
}

#[test]
fn the_unit_has_the_rights_that_the_director_needs() {
    if !sandbox::inside()
        && let Some(reason) = Machine::impossible()
    {
        // Straight to the stream: the harness keeps what a passing test prints.
        let _ =
            writeln!(std::io::stderr(), "SKIPPED the_unit_has_the_rights_that_the_director_needs: {reason}");
        return;
    }
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let configuration = lab.configuration(FARM);
        let files = files(&lab, &configuration)?;
        let machine = Machine::start(&lab.host("lb1"), &files, &lab::director::binary()?)?;
        let systemctl = |what: &str| machine.run(&["systemctl", what, "director"]);
        let fails = |what: &str| {
            Ok::<_, lab::Error>(!machine.output(&["systemctl", what, "director"])?.status.success())
        };
        let log = |least: &str| {
            machine.run(&["journalctl", "--unit=director", "--output=cat", "--no-pager", "--priority", least])
        };
        let told = |role: &str, times| {
            let line = format!("it is told of {role}");
            eventually(LIMIT, &line, || log("info").is_ok_and(|log| log.matches(&line).count() >= times))
        };

        systemctl("start")?;
        status(&machine)?;
        told("active", 1)?;
        eventually(LIMIT, "all probes pass", || {
            status(&machine).is_ok_and(|it| {
                let servers = it["services"][0]["servers"].as_array();
                servers.is_some_and(|all| all.len() == 2 && all.iter().all(|it| it["state"] == "up"))
            })
        })?;
        works(&lab)?;
        assert_eq!(log("warning")?.lines().filter(|line| !expected(line)).collect::<Vec<_>>(), [""; 0]);
        let may = machine.output(&["chrt", "--fifo", "1", "true"])?.status.success();
        assert_eq!(status(&machine)?["redundancy"]["real_time"], may, "as the machine allows it to anybody");
        let errors = status(&machine)?["reconcile"]["error"].clone();
        assert_eq!(errors, Value::Null);

        // Somebody to give the addresses to.
        let lb2 = lab.start_director("lb2", &configuration)?;
        lb2.turns("backup")?;
        systemctl("reload")?;
        systemctl("restart")?;
        // The program still runs, and has the time for it.
        systemctl("restart")?;
        told("backup", 3)?;
        told("initialize", 2)?;
        told("active", 2)?;
        works(&lab)?;

        machine.run(&["sed", "-i", "s/^services:/servces:/", FILE])?;
        assert!(fails("reload")?);
        assert!(log("err")?.contains("unknown key \"servces\""), "{}", log("err")?);
        works(&lab)?;
        assert!(fails("restart")?, "the start waits until the director works");
        machine.run(&["sed", "-i", "s/^servces:/services:/", FILE])?;
        told("active", 3)?;
        works(&lab)?;
        systemctl("stop")?;
        told("initialize", 4)?;
        lb2.turns("active")?;
        Ok(())
    });
}

/// A director that is alone, maybe on a machine without real-time priorities.
fn expected(line: &str) -> bool {
    ["no adverts on any link", "no real-time priority"].iter().any(|it| line.contains(it))
}

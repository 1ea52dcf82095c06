//! Probes by programs.

use lab::farm::VIP;
use lab::{Director, Lab, Outcome, Target, eventually};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// A director whose servers' programs do what stands in a file named as the server's address.
fn configuration(lab: &Lab, folder: &Path, options: &str) -> String {
    lab.configuration(&format!(
        "
        probes:
          load:
            type: exec
            command: [/bin/sh, -c, '. {}/$0', '%h']
            interval: 200ms
            timeout: 200ms
            fall: 2
            rise: 1
            {options}
        services:
          web:
            vip: 192.168.1.35
            ports: {{ tcp: 80 }}
            scheduler: wrr
            probe: load
            servers: {{ exchange1: {{ weight: 10 }}, exchange2: {{ weight: 10 }} }}
        ",
        folder.display()
    ))
}

/// Has the program of exchange1 do something else from now on.
fn does(folder: &Path, script: &str) -> Outcome {
    fs::write(folder.join("new"), script)?;
    Ok(fs::rename(folder.join("new"), folder.join("10.0.1.1"))?)
}

/// The folder of the programs: both servers' pass.
fn programs(lab: &Lab) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let folder = lab.servers()[0].directory()?;
    fs::write(folder.join("10.0.1.2"), "exit 0\n")?;
    does(&folder, "exit 0\n")?;
    Ok(folder)
}

fn becomes(director: &Director, what: &str, is: impl Fn(&Value) -> bool) -> lab::Result<()> {
    eventually(LIMIT, what, || director.server("web", "exchange1").is_ok_and(|server| is(&server)))
}

#[test]
fn the_exit_status_sets_the_share_and_a_timeout_takes_the_server_down() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let folder = programs(&lab)?;
        let _servers = lab.start_servers()?;
        let mut director = lab.start_director("lb1", &configuration(&lab, &folder, ""))?;
        let target = Target::ports(VIP, &[80]);
        let tally = lab.client().visit(&target, 40)?;
        assert_eq!((tally.by("exchange1"), tally.by("exchange2")), (20, 20), "{tally}");

        does(&folder, "echo half the disks are gone; exit 32\n")?;
        becomes(&director, "it asks for weight 30", |server| server["weight"] == 30)?;
        let tally = lab.client().visit(&target, 80)?;
        assert_eq!((tally.by("exchange1"), tally.by("exchange2")), (60, 20), "{tally}");

        does(&folder, "exit 2\n")?;
        becomes(&director, "it asks for weight 0", |server| server["weight"] == 0)?;
        let tally = lab.client().visit(&target, 20)?;
        assert_eq!(tally.by("exchange2"), 20, "{tally}");

        does(&folder, "echo connecting; sleep 1000 & wait\n")?;
        becomes(&director, "it is down", |server| server["state"] == "down")?;
        let reason = director.server("web", "exchange1")?["reason"].to_string();
        assert!(
            reason.contains("sh did not end within 200ms and was killed; it said: connecting"),
            "{reason}"
        );

        does(&folder, "grep -q '^Uid:.65534.65534.65534.65534$' /proc/self/status || exit 1\n")?;
        becomes(&director, "nobody runs it", |server| server["state"] == "up" && server["weight"] == 10)?;

        // Its output says which descriptors it has beside those that a program needs, and ls the folder.
        does(&folder, "echo fds $(ls -l /proc/$$/fd | grep -c socket); exit 1\n")?;
        becomes(&director, "it has none of the director's sockets", |server| {
            server["state"] == "down" && server["reason"].to_string().contains("fds 0")
        })?;

        does(&folder, "echo pid $$; sleep 1000\n")?;
        becomes(&director, "it runs", |server| server["reason"].to_string().contains("pid "))?;
        director.stop()?;
        assert!(!lab::host::runs("sleep 1000"));
        Ok(())
    });
}

#[test]
fn nagios_plugins_and_broken_programs_say_why() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let folder = programs(&lab)?;
        let director = lab.start_director("lb1", &configuration(&lab, &folder, "exit: nagios"))?;
        does(&folder, "echo 'LOAD WARNING - 7 | load=7'; exit 1\n")?;
        becomes(&director, "its note is told", |server| {
            server["state"] == "up" && server["probes"][0]["note"] == "LOAD WARNING - 7"
        })?;
        for (script, reason) in [
            ("echo 'LOAD CRITICAL - 70'; exit 2\n", "exited with status 2 (critical): LOAD CRITICAL - 70"),
            ("kill -SEGV $$\n", "was killed by SIGSEGV"),
            ("missing-program\n", "missing-program: not found"),
        ] {
            does(&folder, script)?;
            becomes(&director, reason, |server| {
                server["state"] == "down" && server["reason"].to_string().contains(reason)
            })?;
        }
        let text = director.configuration()?;
        for (from, to, reason) in [
            ("exit: nagios", "user: nobody-at-all", "has no user \\\"nobody-at-all\\\""),
            ("/bin/sh,", "/bin/missing,", "there is no program /bin/missing"),
        ] {
            director.reload(&text.replace(from, to))?;
            becomes(&director, reason, |server| {
                server["state"] == "down" && server["reason"].to_string().contains(reason)
            })?;
        }
        Ok(())
    });
}

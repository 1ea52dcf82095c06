//! Probes that are tried on demand: `director probe` and `director check --probe`.

use lab::{Director, Lab, eventually};
use serde_json::Value;
use std::process::{Command, Output};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

const SERVICES: &str = "
    probes:
      mail: { type: tcp, port: 25, interval: 1h, timeout: 500ms }
      web: { type: http, port: 80, interval: 1h, timeout: 500ms }
    services:
      exchange:
        vip: 192.168.1.35
        ports: { tcp: [25, 80] }
        probes: [mail, web]
        probes_required: 1
        servers: { exchange1: {}, exchange2: {} }
      pop:
        vip: 192.168.1.35
        ports: { tcp: 110 }
        probe: mail
        servers: { exchange1: {} }
      plain:
        vip: 192.168.1.35
        ports: { tcp: 993 }
        servers: { exchange1: {} }
    ";

fn printed(director: &Director, arguments: &[&str]) -> lab::Result<(Option<i32>, String, String)> {
    let Output { status, stdout, stderr } = director.try_cli(arguments)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((status.code(), text(&stdout), text(&stderr)))
}

#[test]
fn a_probe_is_tried_now_and_changes_nothing() {
    lab::test(|| {
        let (_lab, director, mut servers) = Lab::exchange()?.serve(SERVICES)?;
        let verdicts = |server: &str| -> lab::Result<Value> {
            let server = director.server("exchange", server)?;
            Ok(Value::from_iter([server["state"].clone(), server["probes"][0]["failures"].clone()]))
        };
        director.cli(&["drain", "exchange", "exchange1"])?;
        let text = director.cli(&["probe", "exchange", "exchange1"])?;
        assert!(text.contains("mail at 10.0.1.1:25\n"), "{text}");
        assert!(text.contains("  * connected to 10.0.1.1:25\n"), "{text}");
        assert!(text.contains("  > GET / HTTP/1."), "{text}");
        assert!(text.contains("  < HTTP/1.1 200"), "{text}");
        assert!(text.ends_with("exchange/exchange1 would be up by this: 2 of 2 pass, 1 must\n"), "{text}");

        servers.remove(1).stop();
        let before = verdicts("exchange2")?;
        let (code, text, error) = printed(&director, &["probe", "exchange", "exchange2"])?;
        assert_eq!((code, error.as_str()), (Some(1), "error: exchange/exchange2 would be down\n"), "{text}");
        assert!(text.contains(": connection refused: nothing listens on 10.0.1.2:25\n"), "{text}");
        assert!(text.ends_with("exchange/exchange2 would be down by this: 0 of 2 pass, 1 must\n"), "{text}");
        let only = ["probe", "exchange", "exchange2", "--probe", "web", "--output", "json"];
        let (code, text, _) = printed(&director, &only)?;
        let trial: Value = serde_json::from_str(&text)?;
        assert_eq!(
            (code, trial["up"].as_bool(), trial["probes"].as_array().map(Vec::len)),
            (Some(1), Some(false), Some(1))
        );
        assert_eq!(
            (&trial["probes"][0]["probe"], &trial["probes"][0]["fault"]),
            (&"web".into(), &"refused".into())
        );
        assert_eq!(verdicts("exchange2")?, before, "monitors saw nothing");

        let text = director.cli(&["probe", "plain", "exchange1"])?;
        assert_eq!(text, "plain/exchange1 has no probes: it counts as up\n");
        let (code, _, error) = printed(&director, &["probe", "exchange", "exchange1", "--probe", "rdp"])?;
        assert_eq!(code, Some(1));
        assert!(error.contains("exchange/exchange1 has no probe named \"rdp\": it has mail, web"), "{error}");
        Ok(())
    });
}

#[test]
fn a_file_is_tried_before_it_goes_live() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let mut servers = lab.start_servers()?;
        let director = Director::new(lab.host("lb1"), &lab.configuration(SERVICES))?;
        let file = director.host().directory()?.join("new.yaml");
        let shared = format!("{SERVICES}redundancy: {{ vrid: 51 }}\n");
        std::fs::write(&file, lab.configuration(&shared))?;
        // Servers are reached without a director; their way back is the private network.
        let file = file.to_string_lossy();
        let check = ["check", "--probe", "--node", "lb1", &file];
        let (code, text, error) = printed(&director, &check)?;
        assert_eq!((code, error.as_str()), (Some(0), ""), "{text}");
        assert_eq!(text, format!("{file}: ok\n{file}: all of 4 targets pass\n"));

        servers.remove(1).stop();
        let (code, text, error) = printed(&director, &check)?;
        assert_eq!((code, error.as_str()), (Some(1), "error: 2 of 4 targets fail\n"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[1].starts_with("  Probe  Target"), "{text}");
        assert!(
            lines[2].starts_with("  mail   10.0.1.2:25  exchange/exchange2  refused  connection refused: "),
            "{text}"
        );
        assert!(
            lines[3].starts_with("  web    10.0.1.2:80  exchange/exchange2  refused  connection refused: "),
            "{text}"
        );
        assert_eq!(lines[4], format!("{file}: 2 of 4 targets fail"));
        let (_, text, _) = printed(&director, &["check", "--probe", "--verbose", "--node", "lb1", &file])?;
        assert!(text.contains("exchange/exchange1 and 1 more"), "{text}");
        let (code, text, _) =
            printed(&director, &["check", "--probe", "--node", "lb1", "--output", "json", &file])?;
        let checked: Value = serde_json::from_str(&text)?;
        assert_eq!((code, checked[0]["probes"].as_array().map(Vec::len)), (Some(1), Some(4)), "{text}");

        // One server of the file, without a director either.
        let here = ["probe", "exchange", "exchange1", "--config", &file, "--node", "lb1"];
        let (code, text, _) = printed(&director, &here)?;
        assert_eq!(code, Some(0));
        assert!(text.ends_with("exchange/exchange1 would be up by this: 2 of 2 pass, 1 must\n"), "{text}");
        let (code, _, error) =
            printed(&director, &["probe", "exchagne", "exchange1", "--config", &file, "--node", "lb1"])?;
        assert_eq!(
            (code, error.as_str()),
            (Some(1), "error: there is no service named \"exchagne\"; did you mean \"exchange\"?\n")
        );
        // Without --probe nothing is tried.
        let (code, text, _) = printed(&director, &["check", &file])?;
        assert_eq!((code, text), (Some(0), format!("{file}: ok\n")));
        Ok(())
    });
}

#[test]
fn an_attempt_ends_when_nobody_waits_for_it() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let director = lab.start_director(
            "lb1",
            &lab.configuration(
                "
                probes:
                  slow: { type: exec, command: [/bin/sleep, '1000'], interval: 1h, jitter: 1h, timeout: 1m }
                services:
                  web:
                    vip: 192.168.1.35
                    ports: { tcp: 80 }
                    probe: slow
                    servers: { exchange1: {}, exchange2: {} }
                ",
            ),
        )?;
        let runs = || lab::host::runs("/bin/sleep 1000");
        assert!(!runs(), "it is not due yet");
        let words = director.command_line("probe web exchange1");
        let mut words = words.split(' ');
        let mut client = Command::new(words.next().unwrap_or_default()).args(words).spawn()?;
        eventually(LIMIT, "it runs", runs)?;
        client.kill()?;
        client.wait()?;
        eventually(LIMIT, "it is killed", || !runs())?;
        Ok(())
    });
}

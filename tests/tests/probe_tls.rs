//! TLS probes of OpenSSL's own server.

use lab::{Authority, Certificate, Lab, Program, eventually};
use std::fmt::Write as _;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Probes of exchange1, a service each: name, port and further keys, and what comes of them: a state and the
/// beginning of the reason.
struct Case {
    name: &'static str,
    port: u16,
    keys: String,
    state: &'static str,
    reason: &'static str,
}

fn services(cases: &[Case]) -> String {
    let mut text = String::from("probes:\n");
    for Case { name, port, keys, .. } in cases {
        let _ = writeln!(
            text,
            "  {name}: {{ type: tls, port: {port}, interval: 200ms, rise: 1, fall: 1, start: unknown, {keys} }}"
        );
    }
    text.push_str("services:\n");
    for (Case { name, .. }, port) in cases.iter().zip(1000..) {
        let _ = writeln!(
            text,
            "  {name}: {{ vip: 192.168.1.35, ports: {{ tcp: {port} }}, probe: {name}, servers: {{ exchange1: {{}} }} }}"
        );
    }
    text
}

#[test]
fn certificates_and_versions_are_judged() {
    lab::test(|| {
        let lab = Lab::new(&["exchange1"])?;
        let host = &lab.servers()[0];
        let authority = Authority::new("Lab-Authority")?;
        let stranger = Authority::new("Other-Authority")?;
        let serve = |port: u16, made: &Certificate, options: &[&str]| {
            let (port, pem, key) =
                (port.to_string(), made.file.display().to_string(), made.key.display().to_string());
            let server = ["openssl", "s_server", "-quiet", "-accept", &port, "-cert", &pem, "-key", &key];
            Program::start(host, &[&server[..], options].concat())
        };
        let good = authority.certificate("mail.example.org")?;
        let old = ["-cipher", "ALL@SECLEVEL=0"];
        let _servers = [
            serve(1, &good, &[])?,
            serve(2, &authority.expired("mail.example.org")?, &[])?,
            serve(3, &authority.self_signed("own", "mail.example.org")?, &[])?,
            serve(4, &stranger.certificate("mail.example.org")?, &[])?,
            serve(5, &good, &[&["-tls1_1"], &old[..]].concat())?,
            serve(6, &good, &[&["-tls1"], &old[..]].concat())?,
            serve(7, &good, &["-tls1_2"])?,
            serve(8, &good, &["-tls1_2", "-cipher", "AES128-SHA"])?,
        ];
        let verified = format!("ca_file: {}, sni: mail.example.org", authority.file().display());
        let case =
            |name, port, keys: &str, state, reason| Case { name, port, keys: keys.to_owned(), state, reason };
        let cases = [
            case("good", 1, &verified, "up", ""),
            case("unverified", 2, "verify: false", "up", ""),
            case("ends-soon", 1, &format!("{verified}, expiry_warning: 30d"), "up", ""),
            case("expired", 2, &verified, "down", "its certificate expired on 2020-12-31, "),
            case(
                "self-signed",
                3,
                &verified,
                "down",
                "its certificate is self-signed, by CN=mail.example.org: ",
            ),
            case(
                "stranger",
                4,
                &verified,
                "down",
                "its certificate comes of an authority that is not trusted here, CN=Other-Authority: ",
            ),
            case(
                "other-name",
                1,
                &verified.replace("sni: mail", "sni: www"),
                "down",
                "its certificate is for mail.example.org, not for www.example.org: ",
            ),
            case(
                "no-name",
                1,
                &verified.replace(", sni: mail.example.org", ""),
                "down",
                "its certificate is for mail.example.org, not for 10.0.1.1: set sni ",
            ),
            case("tls-1.1", 5, "", "down", "speaks neither TLS 1.2 nor 1.3"),
            case("tls-1.0", 6, "", "down", "speaks neither TLS 1.2 nor 1.3"),
            case("tls-1.2", 7, &verified, "up", ""),
            case("old-cipher", 8, "", "down", "refused the TLS handshake (handshake_failure)"),
        ];
        let director = lab.start_director("lb1", &lab.configuration(&services(&cases)))?;
        for Case { name, state, reason, .. } in &cases {
            let mut last = String::new();
            let outcome = eventually(LIMIT, &format!("{name} is {state}: {reason}"), || {
                let server = director.server(name, "exchange1").unwrap_or_default();
                last = format!("{} {}", server["state"], server["reason"]);
                server["state"] == *state && server["reason"].as_str().is_some_and(|it| it.contains(reason))
            });
            println!("{name}: {last}");
            outcome?;
        }
        Ok(())
    });
}

//! Probes of mail servers, on Postfix.

use lab::{Director, Host, Lab, Need, eventually};
use std::fs::{self, File};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

const POSTFIX: &[Need] = &[Need::Users("postfix", "postfix"), Need::Program("openssl", "openssl")];

/// Services that run in any container: no queue, since nobody sends mail.
const MASTER: &str = "
smtp     inet       n - n - - smtpd
smtps    inet       n - n - - smtpd -o smtpd_tls_wrappermode=yes
rewrite  unix       - - n - - trivial-rewrite
proxymap unix       - - n - - proxymap
anvil    unix       - - n - 1 anvil
tlsmgr   unix       - - n - 1 tlsmgr
postlog  unix-dgram n - n - 1 postlogd
";

/// Postfix on a host, with configuration, queue and log in the host's directory: nothing of the machine's is used
/// but its programs and its users.
struct Postfix {
    host: Host,
    directory: String,
}

impl Postfix {
    /// Starts it with these settings beside those that it needs.
    fn start(host: &Host, settings: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let path = host.directory()?;
        let directory = path.display().to_string();
        host.run(&format!("install -d -o postfix {directory}/data {directory}/queue"))?;
        let certificate = path.join("certificate.pem");
        if !certificate.exists() {
            host.run(&format!(
                "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=mail.example \
                 -addext subjectAltName=DNS:mail.example -keyout {directory}/key.pem -out {}",
                certificate.display()
            ))?;
        }
        let basics = format!(
            "compatibility_level = 3.6\nmyhostname = mail.example\nmydestination =\ninet_protocols = all\n\
             queue_directory = {directory}/queue\ndata_directory = {directory}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             maillog_file = {directory}/postfix.log\nmaillog_file_prefixes = {directory}\n\
             smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {directory}/certificate.pem\n\
             smtpd_tls_key_file = {directory}/key.pem\nsmtpd_client_event_limit_exceptions =\n\
             smtpd_peername_lookup = no\n"
        );
        fs::write(path.join("main.cf"), basics + settings)?;
        fs::write(path.join("master.cf"), MASTER)?;
        let output = File::create(path.join("output.log"))?;
        let mut command = Command::new("postfix");
        command.args(["-c", &directory, "start-fg"]).stdin(Stdio::null());
        host.spawn(command.stderr(output.try_clone()?).stdout(output))?;
        Ok(Self { host: host.clone(), directory })
    }

    /// Ends it, and waits until it is gone.
    fn stop(self) -> lab::Result<()> {
        self.host.run(&format!("postfix -c {} stop", self.directory)).map(drop)
    }
}

fn probe(name: &str, keys: &str) -> String {
    format!(
        "  {name}: {{ type: smtp, interval: 500ms, timeout: 500ms, rise: 1, fall: 1, start: down, {keys} }}\n"
    )
}

/// The configuration of a director with a service for each of these probes.
fn configuration(lab: &Lab, probes: &[(&str, &str)]) -> String {
    let mut text = String::from("probes:\n");
    text.extend(probes.iter().map(|(name, keys)| probe(name, keys)));
    text.push_str("services:\n");
    for ((name, _), port) in probes.iter().zip(1000..) {
        text.push_str(&format!(
            "  {name}: {{ vips: [192.168.1.35], ports: {{ tcp: {port} }}, probe: {name}, servers: {{ mail1: {{}} }} }}\n"
        ));
    }
    lab.configuration(&text)
}

/// Waits until the server is up for `service`, or down for a reason with these words.
fn becomes(director: &Director, service: &str, words: Option<&str>) -> lab::Result<()> {
    let what = format!("{service}: {}", words.unwrap_or("up"));
    eventually(LIMIT, &what, || {
        director.server(service, "mail1").is_ok_and(|server| match words {
            None => server["state"] == "up",
            Some(words) => server["state"] == "down" && server["reason"].to_string().contains(words),
        })
    })
}

/// Connections from the director's host to the server, which say nothing.
fn connections(director: &Director, count: usize) -> Result<Vec<TcpStream>, Box<dyn std::error::Error>> {
    (0..count).map(|_| Ok(director.host().enter(|| TcpStream::connect("10.0.1.1:25"))??)).collect()
}

#[test]
fn each_port_is_spoken_to_as_it_wants() {
    lab::test_with(POSTFIX, || {
        let lab = Lab::new(&["mail1"])?;
        let host = &lab.servers()[0];
        let postfix = Postfix::start(host, "")?;
        let trusted = format!(
            "verify: true, ca_file: {}, sni: mail.example",
            host.directory()?.join("certificate.pem").display()
        );
        let director = lab.start_director(
            "lb1",
            &configuration(
                &lab,
                &[
                    ("plain", "port: 25"),
                    ("starttls", &format!("port: 25, starttls: true, {trusted}")),
                    ("tls", &format!("port: 465, tls: true, {trusted}")),
                    ("untrusted", "port: 25, starttls: true, verify: true, sni: mail.example"),
                    ("tls-on-25", "port: 25, tls: true"),
                    ("plain-on-465", "port: 465"),
                ],
            ),
        )?;
        for (service, words) in [
            ("plain", None),
            ("starttls", None),
            ("tls", None),
            ("untrusted", Some("its certificate is self-signed")),
            (
                "tls-on-25",
                Some("speaks no TLS: it answered the TLS hello with \\\"220 mail.example ESMTP Postfix"),
            ),
            ("plain-on-465", Some("was silent: the greeting did not come within 500ms (it may wait for TLS")),
        ] {
            becomes(&director, service, words)?;
        }
        postfix.stop()?;
        becomes(&director, "plain", Some("connection refused"))?;
        let log = fs::read_to_string(host.directory()?.join("postfix.log"))?;
        for session in ["ehlo=1 noop=1 quit=1", "ehlo=2 starttls=1 noop=1 quit=1"] {
            assert!(log.contains(session), "{session} in {log}");
        }

        let _postfix = Postfix::start(host, "smtpd_tls_security_level = none\n")?;
        becomes(&director, "plain", None)?;
        becomes(&director, "starttls", Some("the server does not offer STARTTLS"))?;
        Ok(())
    });
}

#[test]
fn a_server_that_turns_connections_away_is_down_until_it_takes_them_again() {
    lab::test_with(POSTFIX, || {
        let lab = Lab::new(&["mail1"])?;
        let host = &lab.servers()[0];
        let postfix = Postfix::start(host, "smtpd_client_connection_count_limit = 3\n")?;
        let director = lab.start_director("lb1", &configuration(&lab, &[("mail", "port: 25")]))?;
        becomes(&director, "mail", None)?;
        let busy = connections(&director, 3)?;
        let words = "the server turns connections away: \
                     421 4.7.0 mail.example Error: too many connections from 10.0.1.33";
        becomes(&director, "mail", Some(words))?;
        drop(busy);
        becomes(&director, "mail", None)?;
        postfix.stop()?;
        becomes(&director, "mail", Some("connection refused"))?;

        let postfix = Postfix::start(host, "default_process_limit = 1\n")?;
        becomes(&director, "mail", None)?;
        let busy = connections(&director, 1)?;
        becomes(&director, "mail", Some("was silent: the greeting did not come within 500ms"))?;
        drop(busy);
        becomes(&director, "mail", None)?;
        postfix.stop()?;

        let _postfix = Postfix::start(
            host,
            "smtpd_delay_reject = no\nsmtpd_client_restrictions = reject\naccess_map_reject_code = 554\n",
        )?;
        becomes(&director, "mail", Some("the server refuses to serve the director: 554 5.7.1"))?;
        Ok(())
    });
}

//! Probes of mail servers, on Postfix.

use lab::{Director, Host, Lab, Need};
use std::fs::{self, File};
use std::net::TcpStream;
use std::process::{Command, Stdio};

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
                Some("speaks no TLS: it answered the TLS hello with \"220 mail.example ESMTP Postfix"),
            ),
            ("plain-on-465", Some("was silent: the greeting did not come within 500ms (it may wait for TLS")),
        ] {
            match words {
                None => director.comes_up(service, "mail1")?,
                Some(words) => director.goes_down(service, "mail1", words)?,
            }
        }
        postfix.stop()?;
        director.goes_down("plain", "mail1", "connection refused")?;
        let log = fs::read_to_string(host.directory()?.join("postfix.log"))?;
        for session in ["ehlo=1 noop=1 quit=1", "ehlo=2 starttls=1 noop=1 quit=1"] {
            assert!(log.contains(session), "{session} in {log}");
        }

        let _postfix = Postfix::start(host, "smtpd_tls_security_level = none\n")?;
        director.comes_up("plain", "mail1")?;
        director.goes_down("starttls", "mail1", "the server does not offer STARTTLS")?;
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
        director.comes_up("mail", "mail1")?;
        let busy = connections(&director, 3)?;
        let words = "the server turns connections away: \
                     421 4.7.0 mail.example Error: too many connections from 10.0.1.33";
        director.goes_down("mail", "mail1", words)?;
        drop(busy);
        director.comes_up("mail", "mail1")?;
        postfix.stop()?;
        director.goes_down("mail", "mail1", "connection refused")?;

        let postfix = Postfix::start(host, "default_process_limit = 1\n")?;
        director.comes_up("mail", "mail1")?;
        let busy = connections(&director, 1)?;
        director.goes_down("mail", "mail1", "was silent: the greeting did not come within 500ms")?;
        drop(busy);
        director.comes_up("mail", "mail1")?;
        postfix.stop()?;

        let _postfix = Postfix::start(
            host,
            "smtpd_delay_reject = no\nsmtpd_client_restrictions = reject\naccess_map_reject_code = 554\n",
        )?;
        director.goes_down("mail", "mail1", "the server refuses to serve the director: 554 5.7.1")?;
        Ok(())
    });
}

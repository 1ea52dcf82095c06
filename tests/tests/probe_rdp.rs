//! Probes of remote desktops, on xrdp.

use lab::{Host, Lab, Need, eventually};
use std::error::Error;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

const XRDP: &[Need] = &[Need::Program("xrdp", "xrdp"), Need::Program("openssl", "openssl")];

/// Two services of one server: the second one wants TLS or `CredSSP`.
const SERVICES: &str = "
    probes:
      desktop: { type: rdp, interval: 500ms, timeout: 500ms, rise: 1, fall: 1, start: down }
      safe: { type: rdp, strict: true, cookie: lb, interval: 500ms, timeout: 500ms, rise: 1, fall: 1, start: down }
    services:
      desktops: { vips: [192.168.1.35], ports: { tcp: 3389 }, probe: desktop, servers: { desktop1: {} } }
      safe-desktops:
        vips: [192.168.1.36]
        ports: { tcp: 3389 }
        probe: safe
        servers: { desktop1: {} }
";

/// xrdp on a host, with files of its own.
struct Xrdp(Child);

impl Xrdp {
    /// Starts it with that security layer (`negotiate`, `tls` or `rdp`), with a certificate or without.
    fn start(host: &Host, security: &str, certificate: bool) -> Result<Self, Box<dyn Error>> {
        let directory = host.directory()?;
        let path = |name: &str| directory.join(name).display().to_string();
        let (certificate_file, key) = (path("certificate.pem"), path("key.pem"));
        if certificate {
            host.run(&format!(
                "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=desktop1 -keyout {key} -out {certificate_file}"
            ))?;
        } else {
            fs::remove_file(&certificate_file)?;
        }
        let settings = format!(
            "[Globals]\nini_version=1\nport=3389\nfork=true\nsecurity_layer={security}\n\
             certificate={certificate_file}\nkey_file={key}\n\
             [Logging]\nLogFile={}\nLogLevel=INFO\nEnableSyslog=false\n[Xorg]\nname=Xorg\nlib=libxup.so\n",
            path("xrdp.log")
        );
        fs::write(directory.join("xrdp.ini"), settings)?;
        let output = File::create(directory.join("output.log"))?;
        let mut command = Command::new("xrdp");
        command.args(["--nodaemon", "--config"]).arg(directory.join("xrdp.ini"));
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        Ok(Self(host.spawn(&mut command)?))
    }
}

impl Drop for Xrdp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_desktop_is_up_if_clients_can_negotiate_with_it() {
    lab::test_with(XRDP, || {
        let lab = Lab::new(&["desktop1"])?;
        let host = &lab.servers()[0];
        let xrdp = Xrdp::start(host, "negotiate", true)?;
        let director = lab.start_director("lb1", &lab.configuration(SERVICES))?;
        director.comes_up("desktops", "desktop1")?;
        director.comes_up("safe-desktops", "desktop1")?;
        drop(xrdp);
        director.goes_down("desktops", "desktop1", "connection refused")?;

        let xrdp = Xrdp::start(host, "rdp", true)?;
        director.goes_down("safe-desktops", "desktop1", "declines TLS and CredSSP")?;
        director.comes_up("desktops", "desktop1")?;
        let noted =
            || director.server("desktops", "desktop1").map(|server| server["probes"][0]["note"].to_string());
        eventually(LIMIT, "a note", || noted().is_ok_and(|note| note.contains("declines TLS and CredSSP")))?;
        drop(xrdp);

        let _xrdp = Xrdp::start(host, "tls", false)?;
        director.goes_down("desktops", "desktop1", "the server has no certificate")?;
        director.goes_down("safe-desktops", "desktop1", "the server has no certificate")?;
        Ok(())
    });
}

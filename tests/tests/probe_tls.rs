//! TLS probes of OpenSSL's own server.

mod cases;

use cases::{case, come_true};
use lab::{Authority, Certificate, Lab, Need, Program};

const OPENSSL: &[Need] = &[Need::Program("openssl", "openssl")];

#[test]
fn certificates_and_versions_are_judged() {
    lab::test_with(OPENSSL, || {
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
        let own = authority.self_signed("own", "mail.example.org")?;
        let short = Certificate {
            file: own.file.with_file_name("short.pem"),
            key: own.key.with_file_name("short.key"),
        };
        host.run(&format!(
            "openssl req -x509 -newkey rsa:1024 -nodes -days 1 -subj /CN=old -keyout {} -out {}",
            short.key.display(),
            short.file.display()
        ))?;
        let old = ["-cipher", "ALL@SECLEVEL=0"];
        let _servers = [
            serve(1, &good, &[])?,
            serve(2, &authority.expired("mail.example.org")?, &[])?,
            serve(3, &own, &[])?,
            serve(4, &stranger.certificate("mail.example.org")?, &[])?,
            serve(5, &good, &[&["-tls1_1"], &old[..]].concat())?,
            serve(6, &good, &[&["-tls1"], &old[..]].concat())?,
            serve(7, &good, &["-tls1_2"])?,
            serve(8, &good, &["-tls1_2", "-cipher", "AES128-SHA"])?,
            serve(9, &short, &old)?,
        ];
        let tls = |port: u16, keys: &str| format!("type: tls, port: {port}{keys}");
        let verified = format!(", ca_file: {}, sni: mail.example.org", authority.file().display());
        let other_name = verified.replace("sni: mail", "sni: www");
        let no_name = verified.replace(", sni: mail.example.org", "");
        let itself = format!(", ca_file: {}, sni: mail.example.org", own.file.display());
        come_true(
            &lab,
            &[
                case("good", tls(1, &verified), ""),
                case("unverified", tls(2, ", verify: false"), ""),
                case("ends-soon", tls(1, &format!("{verified}, expiry_warning: 30d")), ""),
                case("expired", tls(2, &verified), "its certificate expired on 2020-12-31, "),
                case(
                    "self-signed",
                    tls(3, &verified),
                    "its certificate is self-signed, by CN=mail.example.org: ",
                ),
                case("self-signed-trusted", tls(3, &itself), ""),
                case("short-key", tls(9, ""), "has a key that is too short to be safe: RSA with 1024 bits"),
                case(
                    "stranger",
                    tls(4, &verified),
                    "its certificate comes of an authority that is not trusted here, CN=Other-Authority: ",
                ),
                case(
                    "other-name",
                    tls(1, &other_name),
                    "its certificate is for mail.example.org, not for www.example.org: ",
                ),
                case(
                    "no-name",
                    tls(1, &no_name),
                    "its certificate is for mail.example.org, not for 10.0.1.1: set sni ",
                ),
                case("tls-1.1", tls(5, ""), "speaks neither TLS 1.2 nor 1.3"),
                case("tls-1.0", tls(6, ""), "speaks neither TLS 1.2 nor 1.3"),
                case("tls-1.2", tls(7, &verified), ""),
                case("old-cipher", tls(8, ""), "refused the TLS handshake (handshake_failure)"),
            ],
        )?;
        Ok(())
    });
}

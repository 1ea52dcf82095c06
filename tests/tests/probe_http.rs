//! HTTP and HTTPS probes of nginx.

mod cases;

use cases::{case, come_true};
use lab::{Authority, Director, Host, Lab, Need, Program};
use std::fs;

const NGINX: &[Need] = &[Need::Program("nginx", "nginx"), Need::Program("openssl", "openssl")];

/// A site by its name, which says that it is well.
fn site(name: &str) -> String {
    format!(
        "server {{ listen 80; server_name {name}; location / {{ return 200 \"{name} is well\\n\"; }}
         location = /login {{ return 401; }} location = /moved {{ return 307 https://{name}/new; }}
         location = /closed {{ return 403; }} location = /stopped {{ return 503; }} }}\n"
    )
}

/// nginx with these servers; whoever asks for another host by port 80 gets 400, as of IIS.
fn nginx(host: &Host, servers: &str) -> Result<Program, Box<dyn std::error::Error>> {
    let directory = host.directory()?;
    let path = directory.display();
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"))
        .concat();
    let settings = format!(
        "daemon off; master_process off; pid {path}/nginx.pid; error_log stderr;
         events {{}}
         http {{
             access_log {path}/access.log; {scratch}
             server {{ listen 80 default_server; return 400; }}
             {servers}
         }}"
    );
    fs::write(directory.join("nginx.conf"), settings)?;
    let conf = format!("{path}/nginx.conf");
    Ok(Program::start(host, &["nginx", "-e", "stderr", "-c", &conf])?)
}

#[test]
fn sites_by_name_pass_when_they_are_asked_for() {
    lab::test_with(NGINX, || {
        let lab = Lab::new(&["exchange1"])?;
        let silent = "server { listen 81 default_server; return 444; }";
        let servers = [site("ntrip.lab"), site("www.lab"), silent.to_owned()].concat();
        let _nginx = nginx(&lab.servers()[0], &servers)?;
        let www = |keys: &str| format!("type: http, port: 80, host: www.lab, {keys}");
        let needs_host = "this server may need http 1.1 with a host header";
        let director = come_true(
            &lab,
            &[
                case(
                    "old",
                    "type: http, port: 80, version: 1.0",
                    "HTTP/1.0 request got 400: this server may need http 1.1 with a host header",
                ),
                case("old-named", www("version: 1.0"), ""),
                case("head", www("method: HEAD, path: /anything"), ""),
                case(
                    "address",
                    "type: http, port: 80",
                    "HTTP/1.1 request got 400: this server may not know the host 10.0.1.1: set host ",
                ),
                case(
                    "stranger",
                    "type: http, port: 80, host: mail.lab",
                    "got 400: the server does not know the host mail.lab",
                ),
                case("text", www("body_contains: www.lab is well"), ""),
                case("expression", www("body: 'is (well|fine)\\s$'"), ""),
                case(
                    "no-text",
                    www("body_contains: all is lost"),
                    "got 200, but there is no \"all is lost\" in the body of 16 bytes, which begins \"www.lab is well\"",
                ),
                case("login", www("path: /login"), ""),
                case(
                    "no-login",
                    www("path: /login, status: 200"),
                    "got 401: /login needs a login: add 401 to status",
                ),
                case(
                    "moved",
                    www("path: /moved"),
                    "got 307: it sends to https://www.lab/new, and redirects are not followed: probe type https, path /new, or add 307",
                ),
                case("closed", www("path: /closed"), "got 403: the server forbids /closed"),
                case("stopped", www("path: /stopped"), "got 503: the server is out of service or overloaded"),
                case("silent-old", "type: http, port: 81, version: 1.0", needs_host),
                case(
                    "silent",
                    "type: http, port: 81, host: www.lab",
                    "closed the connection before the answer: it may not know the host www.lab",
                ),
                case("tls-less", "type: https, port: 80", "speaks HTTP without TLS: use type http"),
            ],
        )?;
        leaves_nothing_behind(&director)?;
        Ok(())
    });
}

#[test]
fn https_asks_for_the_site_by_name_twice() {
    lab::test_with(NGINX, || {
        let lab = Lab::new(&["exchange1"])?;
        let authority = Authority::new("Lab-Authority")?;
        let made = authority.certificate("www.lab")?;
        let servers = format!(
            "server {{ listen 443 ssl default_server; ssl_reject_handshake on; return 421; }}
             server {{ listen 443 ssl; server_name www.lab; ssl_certificate {}; ssl_certificate_key {};
                       return 200 \"all is well\\n\"; }}",
            made.file.display(),
            made.key.display()
        );
        let _nginx = nginx(&lab.servers()[0], &servers)?;
        let https = |keys: &str| format!("type: https, port: 443, {keys}");
        let trusted = format!("ca_file: {}", authority.file().display());
        let director = come_true(
            &lab,
            &[
                case("good", https(&format!("host: www.lab, body_contains: well, {trusted}")), ""),
                case("unverified", https("host: www.lab"), ""),
                case(
                    "no-name",
                    https("verify: false"),
                    "wants to be asked for a name (unrecognized_name): set sni",
                ),
                case(
                    "other-name",
                    https("host: mail.lab"),
                    "does not know the name mail.lab (unrecognized_name): check sni",
                ),
                case(
                    "two-names",
                    https("host: mail.lab, sni: www.lab"),
                    "got 421: the server does not serve mail.lab on this connection",
                ),
                case("system", https("host: www.lab, verify: true"), "not to be trusted"),
                case(
                    "plain",
                    "type: http, port: 443, host: www.lab",
                    "got 400: this port speaks TLS: use type https",
                ),
            ],
        )?;
        leaves_nothing_behind(&director)?;
        Ok(())
    });
}

/// Probes end by a reset: else the kernel would keep each of their connections for minutes.
fn leaves_nothing_behind(director: &Director) -> lab::Result<()> {
    let connections = director.host().run("conntrack -L -p tcp")?;
    assert!(connections.contains("CLOSE") && !connections.contains("TIME_WAIT"), "{connections}");
    Ok(())
}

/// Two sites on one port: one probe sees one of them, so it takes two to know that the server is well.
#[test]
fn both_names_of_a_server_are_probed() {
    lab::test_with(NGINX, || {
        let lab = Lab::new(&["exchange1"])?;
        let host = &lab.servers()[0];
        let both = [site("ntrip.lab"), site("www.lab")].concat();
        let running = nginx(host, &both)?;
        let pace = "interval: 200ms, rise: 1, fall: 1, start: down";
        let director = lab.start_director(
            "lb1",
            &lab.configuration(&format!(
                "
                probes:
                  ntrip: {{ type: http, port: 80, host: ntrip.lab, {pace} }}
                  www: {{ type: http, port: 80, host: www.lab, {pace} }}
                services:
                  sites: {{ vip: 192.168.1.35, ports: {{ tcp: 80 }}, probes: [ntrip, www], servers: {{ exchange1: {{}} }} }}
                  either:
                    vip: 192.168.1.36
                    ports: {{ tcp: 80 }}
                    probes: [ntrip, www]
                    probes_required: any
                    servers: {{ exchange1: {{}} }}
                "
            )),
        )?;
        director.comes_up("sites", "exchange1")?;
        director.comes_up("either", "exchange1")?;
        drop(running);
        director.goes_down("either", "exchange1", "connection refused")?;

        let running = nginx(host, &site("ntrip.lab"))?;
        director.goes_down("sites", "exchange1", "the server does not know the host www.lab")?;
        director.comes_up("either", "exchange1")?;
        drop(running);

        let _running = nginx(host, &both)?;
        director.comes_up("sites", "exchange1")?;
        Ok(())
    });
}

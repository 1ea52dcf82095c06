//! A new file changes what it changes, and nothing else; a bad one changes nothing.

use lab::farm::{VIP, VIP6};
use lab::{Failure, Lab, Target};
use serde_json::Value;
use std::time::Duration;

const SERVICE: &str = "
    services:
      web:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [80, 443] }
        servers: { exchange1: { weight: 1 }, exchange2: { weight: 1 } }
    ";

#[test]
fn new_weights_and_services_under_load() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let text = lab.configuration(SERVICE);
        let director = lab.start_director("lb1", &text)?;
        let target = Target::ports(VIP, &[80, 443]);
        let hold = lab.client().hold(&target, 20)?;
        let load = lab.client().load(&target.parallel(4).pause(Duration::from_millis(2)))?;
        load.more(100)?;

        director.reload(&text.replace("exchange1: { weight: 1 }", "exchange1: { weight: 3 }"))?;
        load.more(20)?;
        let before = load.so_far();
        load.more(400)?;
        let after = load.so_far();
        let more = |server| after.by(server) - before.by(server);
        // The window opens and closes within a turn.
        assert!(more("exchange1").abs_diff(3 * more("exchange2")) <= 20, "{before}\n{after}");

        let mail = "  mail:\n    vip: 192.168.1.35\n    ports: { tcp: 25 }\n    servers: { exchange2: {} }\n";
        assert_eq!(lab.client().call(&Target::new((VIP, 25).into()))?, Err(Failure::Refused));
        director.reload(&format!("{text}{mail}"))?;
        assert_eq!(lab.client().visit(&Target::new((VIP, 25).into()), 4)?.only_server(), Some("exchange2"));
        director.reload(&text)?;
        assert_eq!(lab.client().call(&Target::new((VIP, 25).into()))?, Err(Failure::Refused));

        load.more(100)?;
        let (load, hold) = (load.stop()?, hold.stop()?);
        assert_eq!((load.failed(), hold.failed(), hold.made()), (0, 0, 20), "{load}\n{hold}");
        assert_eq!(director.status()?["configuration"]["reloads"], 3);
        let warnings = director.log().matches("there is no \"redundancy\"").count();
        assert_eq!(warnings, 4, "at the start and at each reload: {}", director.log());
        Ok(())
    });
}

#[test]
fn a_bad_file_changes_nothing() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let text = lab.configuration(SERVICE);
        let mut director = lab.start_director("lb1", &text)?;
        let table = || director.host().run("nft --stateless list table inet director");
        let before = table()?;
        let hash = director.status()?["configuration"]["hash"].clone();

        for bad in [
            "",
            "version: [",
            &text.replace("weight: 1", "wieght: 1"),
            &text.replace("exchange1: { weight", "exchange9: { weight"),
        ] {
            let error = director.reload(bad).expect_err("it is refused").to_string();
            assert!(error.contains("director.yaml:"), "names the place: {error}");
        }
        director.signal(nix::sys::signal::Signal::SIGHUP)?;
        lab::eventually(Duration::from_secs(10), "the hangup is counted", || {
            director.status().is_ok_and(|status| status["configuration"]["refused"] == 5)
        })?;
        assert_eq!(table()?, before);
        let configuration = director.status()?["configuration"].clone();
        assert_eq!(configuration["hash"], hash);
        assert!(configuration["error"].is_string(), "{configuration}");
        for vip in [VIP, VIP6] {
            assert_eq!(lab.client().visit(&Target::ports(vip, &[80, 443]), 20)?.made(), 20);
        }

        director.reload(&text)?;
        assert_eq!(director.status()?["configuration"]["error"], Value::Null);
        assert!(director.is_running());
        Ok(())
    });
}

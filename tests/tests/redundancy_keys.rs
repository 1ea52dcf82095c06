//! Keys of the virtual router: without them nobody is heard, and they are changed without a gap.

use lab::{Director, Host, Lab, Pair, eventually};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender, channel, interfaces};
use serde_json::Value;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const LIMIT: Duration = Duration::from_secs(20);
const OLD: &str = "Hn3pV0cKd8wM5rTqZs7bJx2yLg9uEoA4fXiRkQvBzN6=";
const NEW: &str = "4u7Zr1m0xB3sQ9eYk2tN8vWcL5oHjD6aGfPiRqXzUyE=";

fn redundancy(priorities: &str, key_file: Option<&Path>) -> String {
    let key_file = key_file.map(|path| format!("\n  key_file: {}", path.display())).unwrap_or_default();
    format!(
        "redundancy:
  vrid: 51
  interval: 100ms
  priority: {{ {priorities} }}{key_file}
services:
  web:
    vips: [192.168.1.35]
    ports: {{ tcp: 80 }}
    servers: {{ exchange1: {{ weight: 1 }}, exchange2: {{ weight: 1 }} }}
"
    )
}

/// The file that both directors read: what each goes by is what it read last.
fn key_file(lab: &Lab, text: &str) -> Result<PathBuf> {
    let path = lab.directors()[0].directory()?.join("vrrp.key");
    write(&path, text)?;
    Ok(path)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

fn refused(director: &Director) -> Result<u64> {
    let redundancy = director.redundancy()?;
    assert_eq!(redundancy["authenticated"], true);
    Ok(redundancy["discards"]["authentication"].as_u64().unwrap_or(0))
}

/// Waits until adverts and hellos went both ways since this was called.
fn speak(pair: &Pair) -> Result<()> {
    let received = |it: &Value| {
        it["links"].as_array().map(|all| all.iter().filter_map(|it| it["received"].as_u64()).sum::<u64>())
    };
    let before = received(&pair["lb2"].redundancy()?);
    pair["lb2"].shows("it hears adverts", |it| received(it) > before.map(|before| before + 30))?;
    hears(pair, "lb1", "lb2")?;
    hears(pair, "lb2", "lb1")
}

/// Waits until hellos come from the other one.
fn hears(pair: &Pair, one: &str, other: &str) -> Result<()> {
    Ok(pair[one].shows(&format!("it hears {other}'s hellos"), |it| {
        it["peers"][0]["node"] == other && it["peers"][0]["heard_seconds"].as_f64().is_some_and(|it| it < 1.5)
    })?)
}

#[test]
fn keys_are_changed_without_a_gap() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let path = key_file(&lab, OLD)?;
        let (_lab, pair, _servers) = lab.serve_pair(&redundancy("lb1: 150, lb2: 100", Some(&path)))?;
        pair.active_is("lb1")?;
        speak(&pair)?;
        let changes = || -> Result<Vec<Value>> {
            pair.directors().iter().map(|it| Ok(it.redundancy()?["transitions"].clone())).collect()
        };
        let before = changes()?;
        let quiet = |step: &str| -> Result<()> {
            for director in pair.directors() {
                assert_eq!(refused(director)?, 0, "{step}: {}", director.log());
            }
            assert_eq!(changes()?, before, "{step}: changes of role");
            Ok(())
        };
        quiet("at the start")?;
        let steps = [format!("{OLD}\n2 {NEW}\n"), format!("2 {NEW}\n1 {OLD}\n"), format!("2 {NEW}\n")];
        for (number, text) in steps.iter().enumerate() {
            // In either order.
            let order = if number == 1 { ["lb2", "lb1"] } else { ["lb1", "lb2"] };
            for name in order {
                write(&path, text)?;
                pair[name].cli(&["reload"])?;
                speak(&pair)?;
                quiet(&format!("step {} on {name}", number + 1))?;
            }
        }
        for director in pair.directors() {
            let log = director.log();
            assert!(!log.contains(OLD) && !log.contains(NEW), "{log}");
        }
        Ok(())
    });
}

#[test]
fn a_key_file_that_does_not_hold_changes_nothing() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let path = key_file(&lab, OLD)?;
        let rest = redundancy("lb1: 150, lb2: 100", Some(&path));
        let (_lab, mut pair, _servers) = lab.serve_pair(&rest)?;
        for (text, mode, expected) in [
            ("# none\n", 0o600, "there is no key in it"),
            ("7 too-short\n", 0o600, "vrrp.key:1: a key has at least 16 bytes, this one has 9"),
            (NEW, 0o644, "any user of this machine may read or change it (mode 0644): chmod 600"),
        ] {
            write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            let answer = pair["lb1"].try_cli(&["reload"])?;
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            assert!(!answer.status.success() && said.contains(expected), "{said}");
            let error = pair["lb1"].status()?["configuration"]["error"].to_string();
            assert!(error.contains(expected), "{error}");
            speak(&pair)?;
            assert_eq!(refused(&pair["lb2"])?, 0);
        }
        pair["lb2"].stop()?;
        let error = pair["lb2"].start().unwrap_err().to_string();
        assert!(error.contains("any user of this machine may read"), "{error}");
        assert!(!error.contains(NEW), "{error}");
        Ok(())
    });
}

#[test]
fn who_does_not_sign_is_not_heard() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let path = key_file(&lab, OLD)?;
        let priorities = "lb1: 100, lb2: 200";
        let signing = lab.configuration(&redundancy(priorities, Some(&path)));
        let lb1 = lab.start_director("lb1", &signing)?;
        lb1.turns("active")?;
        let lb2 = lab.start_director("lb2", &lab.configuration(&redundancy(priorities, None)))?;
        eventually(LIMIT, "lb1 refuses its adverts", || refused(&lb1).is_ok_and(|count| count > 20))?;
        assert_eq!(lb1.role()?, "active");
        for said in ["an advert", "a hello"] {
            eventually(LIMIT, "it says so", || {
                let log = lb1.log();
                log.contains(said) && log.contains("it is not signed: give the peer the same key_file")
            })?;
        }
        lb2.shows("it refuses what is signed", |it| it["discards"]["authentication"].as_u64() > Some(0))?;
        Ok(())
    });
}

/// As the user's guide has it: the Backup is away while the Active changes over.
#[test]
fn a_pair_begins_to_sign_without_a_second_active() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let path = key_file(&lab, OLD)?;
        let priorities = "lb1: 100, lb2: 150";
        let (lab, mut pair, _servers) = lab.serve_pair(&redundancy(priorities, None))?;
        let (active, backup) = match &*pair.one_active()? {
            "lb1" => ("lb1", "lb2"),
            _ => ("lb2", "lb1"),
        };
        let signing = lab.configuration(&redundancy(priorities, Some(&path)));
        pair[backup].stop()?;
        pair[active].reload(&signing)?;
        pair[backup].configure(&signing)?;
        pair[backup].start()?;
        pair[backup]
            .shows("it hears the Active", |it| it["role"] == "backup" && it["active"]["node"] == active)?;
        for director in pair.directors() {
            assert_eq!(refused(director)?, 0, "{}", director.log());
        }
        assert_eq!(pair[active].redundancy()?["dual_active_episodes"], 0);
        Ok(())
    });
}

/// Where lb1 keeps what it signs with, and what it has heard.
fn signatures(pair: &Pair) -> Result<PathBuf> {
    Ok(pair["lb1"].host().directory()?.join("state/signatures.json"))
}

/// A clock that was ahead, and is not any more.
#[test]
fn a_director_that_is_remembered_from_the_future_and_lost_its_state_is_heard() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let path = key_file(&lab, OLD)?;
        let (_lab, mut pair, _servers) = lab.serve_pair(&redundancy("lb1: 150, lb2: 100", Some(&path)))?;
        pair.active_is("lb1")?;
        pair["lb1"].stop()?;
        let future = 7_258_118_400_000_000_000_u64;
        fs::write(
            signatures(&pair)?,
            format!(r#"{{"version":1,"contents":{{"epoch":{future},"heard":{{}}}}}}"#),
        )?;
        pair["lb1"].start()?;
        pair.active_is("lb2")?;
        hears(&pair, "lb2", "lb1")?;
        pair["lb2"].cli(&["failover"])?;
        pair.active_is("lb1")?;

        pair["lb1"].kill()?;
        fs::remove_file(signatures(&pair)?)?;
        pair["lb1"].start()?;
        // It takes itself for the Active, and lb2, which refuses what it says, soon does too.
        pair["lb1"].shows("it hears that it is refused", |_| {
            pair["lb1"].log().contains("remembers this one from a later time")
        })?;
        pair.one_active()?;
        hears(&pair, "lb2", "lb1")?;
        pair["lb1"].stop()?;
        let kept: Value = serde_json::from_slice(&fs::read(signatures(&pair)?)?)?;
        assert!(kept["contents"]["epoch"].as_u64() > Some(future), "{kept}");
        Ok(())
    });
}

type Ends = (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>);

/// All that passes a host's public interface, and a way to send there whatever one likes.
fn wire(host: &Host) -> Result<Ends> {
    let opened = host.enter(|| -> io::Result<Ends> {
        let public = interfaces().into_iter().find(|it| it.name == "eth0").ok_or(io::ErrorKind::NotFound)?;
        let config = Config { read_timeout: Some(LIMIT), ..Config::default() };
        match channel(&public, config)? {
            Channel::Ethernet(sender, receiver) => Ok((sender, receiver)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    })?;
    Ok(opened?)
}

/// Adverts of lb1, as they are.
fn recorded(lb1: &Host) -> Result<Vec<Vec<u8>>> {
    let (_, mut receiver) = wire(lb1)?;
    let mut adverts = Vec::new();
    while adverts.len() < 20 {
        let frame = receiver.next()?;
        if frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(23) == Some(&112) {
            adverts.push(frame.to_vec());
        }
    }
    Ok(adverts)
}

/// lb1 dies, and somebody plays to lb2 what it said before, all the time that `meanwhile` takes.
fn dies_and_is_played(
    pair: &mut Pair,
    from: &Host,
    meanwhile: impl FnOnce(&Pair) -> Result<()>,
) -> Result<()> {
    let adverts = recorded(pair["lb1"].host())?;
    let (mut sender, _receiver) = wire(from)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for advert in adverts.iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                let _ = sender.send_to(advert, None);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let outcome = pair["lb1"].kill().map_err(Into::into).and_then(|()| meanwhile(pair));
        over.store(true, Ordering::Relaxed);
        outcome
    })
}

#[test]
fn a_dead_active_lives_on_in_recordings_only_where_nothing_is_signed() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let path = key_file(&lab, OLD)?;
        let client = lab.client().host().clone();
        let priorities = "lb1: 150, lb2: 100";
        let (lab, mut pair, _servers) = lab.serve_pair(&redundancy(priorities, Some(&path)))?;
        pair.active_is("lb1")?;
        dies_and_is_played(&mut pair, &client, |pair| {
            pair["lb2"].turns("active")?;
            pair["lb2"].shows("it counts them", |it| it["discards"]["replayed"].as_u64() > Some(10))?;
            assert_eq!(pair["lb2"].role()?, "active");
            Ok(())
        })?;

        let plain = lab.configuration(&redundancy(priorities, None));
        for name in ["lb1", "lb2"] {
            pair[name].configure(&plain)?;
        }
        pair["lb2"].stop()?;
        pair["lb1"].start()?;
        pair["lb1"].turns("active")?;
        pair["lb2"].start()?;
        pair.active_is("lb1")?;
        dies_and_is_played(&mut pair, &client, |pair| {
            thread::sleep(Duration::from_secs(2));
            assert_eq!(pair["lb2"].role()?, "backup", "it believes whatever it hears");
            Ok(())
        })?;
        Ok(pair["lb2"].turns("active")?)
    });
}

//! Events are followed over restarts.

mod farm;

use farm::{LIMIT, pair};
use lab::{Director, Lab, eventually};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// `director events --follow`, which is killed when dropped.
struct Follower {
    process: Child,
    directory: PathBuf,
}

impl Follower {
    fn of(director: &Director) -> Result<Self, Box<dyn std::error::Error>> {
        let directory = director.host().directory()?;
        let file = |name: &str| fs::File::create(directory.join(name));
        let words = director.command_line("--output json events --follow");
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().ok_or("no words")?);
        command.args(words).stdin(Stdio::null()).stdout(file("followed")?).stderr(file("follower.log")?);
        Ok(Self { process: command.spawn()?, directory })
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }

    /// All lines so far.
    fn seen(&self) -> Vec<Value> {
        self.read("followed").lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it has seen whatever the director remembers; that is returned.
    fn catches_up(&self, director: &Director) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
        let mut known = Vec::new();
        eventually(LIMIT, "the follower has seen everything", || {
            let answer = director.cli(&["--output", "json", "events"]).unwrap_or_default();
            known = serde_json::from_str(&answer).unwrap_or_default();
            let seen = self.seen();
            !known.is_empty() && known.iter().all(|event| seen.contains(event))
        })?;
        Ok(known)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn no_event_is_missed_or_seen_twice() {
    lab::test(|| {
        let (_lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        let follower = Follower::of(&pair["lb2"])?;
        let first = follower.catches_up(&pair["lb2"])?;

        pair["lb2"].stop()?;
        eventually(LIMIT, "it waits", || follower.read("follower.log").contains("waiting for it"))?;
        pair["lb2"].start()?;
        pair["lb2"].turns("backup")?;
        let second = follower.catches_up(&pair["lb2"])?;
        assert_eq!(second[..first.len()], first, "they are remembered");
        let ended = |event: &Value| event["text"] == "Initialize: stopped";
        assert!(second.iter().any(ended), "{second:?}");

        pair["lb2"].kill()?;
        pair["lb2"].start()?;
        pair["lb2"].turns("backup")?;
        follower.catches_up(&pair["lb2"])?;
        let numbers: Vec<u64> = follower.seen().iter().filter_map(|event| event["number"].as_u64()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let gaps: Vec<_> = numbers.windows(2).filter(|pair| pair[0] + 1 < pair[1]).collect();
        assert_eq!(gaps.len(), 1, "where it was killed: {numbers:?}");
        Ok(())
    });
}

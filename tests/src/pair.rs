//! Directors that share addresses.

use crate::{Api, Director, Error, Lab, Result, Server, eventually};
use serde_json::Value;
use std::net::IpAddr;
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// Far more than any take-over should take: other tests run at the same time.
const LIMIT: Duration = Duration::from_secs(20);

/// Directors with one configuration, in the order of the lab. They are indexed by name.
#[derive(Debug)]
pub struct Pair {
    directors: Vec<Director>,
}

impl Lab {
    /// Puts the farm to work as [`Self::serve`] does, with all its directors; one of them is Active when this returns,
    /// and all others are Backup. `rest` has the section `redundancy`.
    ///
    /// # Errors
    /// As for [`Self::serve`], or they don't agree in time.
    pub fn serve_pair(self, rest: &str) -> Result<(Self, Pair, Vec<Server>)> {
        let servers = self.start_servers()?;
        let pair = Pair::start(&self, rest)?;
        pair.one_active()?;
        Ok((self, pair, servers))
    }
}

impl Pair {
    /// Starts all directors of the lab with [`Lab::configuration`] of `rest`, and waits until they answer.
    ///
    /// # Errors
    /// One doesn't start.
    pub fn start(lab: &Lab, rest: &str) -> Result<Self> {
        let start = |host: &crate::Host| lab.start_director(host.name(), &lab.configuration(rest));
        Ok(Self { directors: lab.directors().iter().map(start).collect::<Result<_>>()? })
    }

    /// All of them.
    #[must_use]
    pub fn directors(&self) -> &[Director] {
        &self.directors
    }

    /// Waits until exactly one of those that run is Active, and all others are Backup and have heard it: its name.
    ///
    /// # Errors
    /// They don't agree in time; the error has their roles.
    pub fn one_active(&self) -> Result<String> {
        let mut found = None;
        self.agree("one is Active, the others are Backup", |roles| {
            let mut active = roles.iter().filter(|(_, role)| role == "active");
            found = active.next().filter(|_| active.next().is_none()).map(|(name, _)| (*name).to_owned());
            found.is_some() && roles.iter().filter(|(_, role)| role == "backup").count() + 1 == roles.len()
        })?;
        found.ok_or_else(|| Error::Answer { question: "who is Active".to_owned(), answer: String::new() })
    }

    /// Waits until that one is Active, and all others that run are Backup.
    ///
    /// # Errors
    /// They don't agree in time; the error has their roles.
    pub fn active_is(&self, name: &str) -> Result<()> {
        self.agree(&format!("{name} is Active, the others are Backup"), |roles| {
            roles.iter().any(|(other, _)| *other == name)
                && roles.iter().all(|(other, role)| role == if *other == name { "active" } else { "backup" })
        })
    }

    /// Waits until the roles of those that run are as wanted.
    fn agree(&self, what: &str, mut wanted: impl FnMut(&[(&str, String)]) -> bool) -> Result<()> {
        let mut last = Vec::new();
        let outcome = eventually(LIMIT, what, || {
            let running = self.directors.iter().filter(|director| director.pid().is_some());
            last = running
                .map(|it| (it.host().name(), it.role().unwrap_or_else(|error| error.to_string())))
                .collect();
            wanted(&last)
        });
        outcome.map_err(|_| Error::Late { limit: LIMIT, what: format!("{what}: {last:?}") })
    }

    /// The hosts that have this address, by name.
    ///
    /// # Errors
    /// A command failed.
    pub fn holders(&self, address: IpAddr) -> Result<Vec<&str>> {
        let mut holders = Vec::new();
        for host in self.directors.iter().map(Director::host) {
            if host.has_address(address)? {
                holders.push(host.name());
            }
        }
        Ok(holders)
    }

    /// Waits until these hosts, and no others, have all of these addresses.
    ///
    /// # Errors
    /// They don't in time; the error says who has.
    pub fn held_by(&self, holders: &[&str], addresses: &[IpAddr]) -> Result<()> {
        let mut last = Vec::new();
        let outcome = eventually(LIMIT, "", || {
            last = addresses.iter().map(|&it| (it, self.holders(it).unwrap_or_default())).collect();
            last.iter().all(|(_, found)| found == holders)
        });
        let late = || format!("{holders:?} have the addresses: {last:?}");
        outcome.map_err(|_| Error::Late { limit: LIMIT, what: late() })
    }
}

impl Director {
    /// Its part in the virtual router, as its status shows it.
    ///
    /// # Errors
    /// It doesn't answer, or has no part in any.
    pub fn redundancy(&self) -> Result<Value> {
        let status = Api::new(self.socket()).demand("GET", "/v1/status", "")?;
        let found = status.get("redundancy").filter(|found| found.is_object()).cloned();
        found.ok_or_else(|| Error::Answer {
            question: "redundancy".to_owned(),
            answer: "no part in any".to_owned(),
        })
    }

    /// `active`, `backup` or `initialize`.
    ///
    /// # Errors
    /// As for [`Self::redundancy`].
    pub fn role(&self) -> Result<String> {
        Ok(self.redundancy()?["role"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until it has that role.
    ///
    /// # Errors
    /// It has not in time.
    pub fn turns(&self, role: &str) -> Result<()> {
        self.shows(&format!("{} is {role}", self.host().name()), |status| status["role"] == role)
    }

    /// Waits until [`Self::redundancy`] is as wanted; `what` names it in the error, which has it too.
    ///
    /// # Errors
    /// It is not in time.
    pub fn shows(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Result<()> {
        let mut last = Value::Null;
        let outcome = eventually(LIMIT, what, || {
            last = self.redundancy().unwrap_or_default();
            wanted(&last)
        });
        outcome.map_err(|_| Error::Late { limit: LIMIT, what: format!("{what}; it shows {last:#}") })
    }
}

impl Index<&str> for Pair {
    type Output = Director;

    #[expect(clippy::panic, reason = "the test has named a director that is not there")]
    fn index(&self, name: &str) -> &Director {
        let find = |it: &&Director| it.host().name() == name;
        self.directors.iter().find(find).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

impl IndexMut<&str> for Pair {
    #[expect(clippy::panic, reason = "the test has named a director that is not there")]
    fn index_mut(&mut self, name: &str) -> &mut Director {
        let find = |it: &&mut Director| it.host().name() == name;
        self.directors.iter_mut().find(find).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

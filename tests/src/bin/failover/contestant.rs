//! Who is compared.

use crate::Outcome;
use crate::event::Event;
use crate::observation::{self, Observation};
use crate::product::{Directors, Keepaliveds, Product};
use lab::{Capture, Lab};
use std::fmt;
use std::thread::sleep;
use std::time::Duration;

/// A pair of machines with a way to agree on who is Active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contestant {
    name: Name,
    /// Time between adverts.
    pub(crate) interval: Duration,
    /// Of lb1 and of lb2.
    priorities: [u8; 2],
    /// What is done to it.
    pub(crate) events: &'static [Event],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Director,
    Keepalived,
}

/// In the order of their turns.
pub(crate) const ALL: [Contestant; 9] = [
    contestant(Name::Director, 1000),
    contestant(Name::Keepalived, 1000),
    contestant(Name::Director, 100),
    contestant(Name::Keepalived, 100),
    contestant(Name::Director, 50),
    contestant(Name::Keepalived, 50),
    contestant(Name::Director, 20),
    least_skew(Name::Director),
    least_skew(Name::Keepalived),
];

const fn contestant(name: Name, millis: u64) -> Contestant {
    Contestant { name, interval: Duration::from_millis(millis), priorities: [150, 100], events: &Event::ALL }
}

/// With the highest priorities, which make the skew time short.
const fn least_skew(name: Name) -> Contestant {
    Contestant { priorities: [254, 253], events: &[Event::PowerOff], ..contestant(name, 50) }
}

impl Contestant {
    /// 3 x interval + skew: for so long the Active must be silent (RFC 9568, section 6.1).
    pub(crate) fn down(&self) -> Duration {
        self.interval * 3 + self.interval * (256 - u32::from(self.priorities[1])) / 256
    }

    /// Lets it go through its events. Each happens `delay` after all is well.
    pub(crate) fn perform(
        &self,
        lab: &Lab,
        delay: Duration,
        mut tell: impl FnMut(Event, Observation),
    ) -> Outcome {
        let mut product: Box<dyn Product> = match self.name {
            Name::Director => Box::new(Directors::new(lab, self.interval, self.priorities)?),
            Name::Keepalived => Box::new(Keepaliveds::new(lab, self.interval, self.priorities)?),
        };
        let capture = Capture::start()?;
        for node in 0..2 {
            product.start(node)?;
        }
        for event in self.events {
            observation::wait_for_all(lab, event.before())?;
            sleep(delay);
            let happens = || event.happen(lab, product.as_mut());
            tell(*event, observation::observe(lab, &capture, happens, event.after())?);
            event.undo(lab, product.as_mut())?;
        }
        observation::wait_for_all(lab, 0)?;
        for node in (0..2).rev() {
            product.stop(node)?;
        }
        product.clear(lab)
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.name {
            Name::Director => "director",
            Name::Keepalived => "keepalived",
        };
        let [first, second] = self.priorities;
        write!(f, "{name}, {:?}, {first}/{second}", self.interval)
    }
}

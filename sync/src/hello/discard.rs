//! Why a hello was refused, and how often.

use crate::vrrp::packet::{self, Kind};
use std::collections::BTreeMap;

/// Why a hello was refused. It changes nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Discard {
    /// What adverts are refused for too: where they come from, signature, replay.
    #[error(transparent)]
    Common(#[from] packet::Discard),
    /// Something else that came to the port.
    #[error("it is not a hello: something else was sent to the port, or it was damaged")]
    NotHello,
    /// Of a later program, which speaks otherwise.
    #[error("it is of version {got} of hellos, which this director does not know: bring both to one version")]
    Version {
        /// What it was.
        got: u64,
    },
    /// Something in it can't be.
    #[error("its {0} is missing or makes no sense: bring both directors to one version")]
    Field(&'static str),
}

impl Discard {
    /// A short name for metrics: where adverts are refused for the same, the same.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Common(discard) => Kind::from(discard).name(),
            Self::NotHello => "not_hello",
            Self::Version { .. } => "hello_version",
            Self::Field(_) => "hello_field",
        }
    }
}

/// How many hellos were refused, by [`Discard::name`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discards(BTreeMap<&'static str, u64>);

impl Discards {
    /// Counts one.
    pub fn count(&mut self, discard: Discard) {
        *self.0.entry(discard.name()).or_default() += 1;
    }

    /// Those that happened.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(&name, &count)| (name, count))
    }
}

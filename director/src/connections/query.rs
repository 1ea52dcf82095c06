//! A question about connections, as the command line and the API put it.

use super::State;
use director_core::config::closest;
use director_core::model::Network;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Which connections are meant: all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this service, or of `management/` and the name of a management address.
    pub service: Option<String>,
    /// Of the server with this name: of the service, or of every service that has one.
    pub server: Option<String>,
    /// Of clients in this network.
    pub client: Option<Network>,
    /// In this state.
    pub state: Option<StateFilter>,
}

/// A state, or several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFilter {
    /// This one.
    Is(State),
    /// Established.
    Active,
    /// Any other.
    Inactive,
}

/// A parameter of a query is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name:?}: {reason}")]
pub struct ParameterError {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
    /// What may be meant, or may stand there.
    pub hint: Option<String>,
}

impl Query {
    /// The parameters' names.
    pub const PARAMETERS: [&str; 4] = ["service", "server", "client", "state"];

    /// True if nothing is asked for in particular.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the parameters; those named in `others` are handed back as they are.
    ///
    /// # Errors
    /// The first parameter that is unknown, stands there twice, or has a value that makes no sense.
    pub fn parse<const N: usize>(
        parameters: &[(String, String)],
        others: [&str; N],
    ) -> Result<(Self, [Option<String>; N]), ParameterError> {
        let mut query = Self::default();
        let mut rest = [const { None }; N];
        for (at, (name, value)) in parameters.iter().enumerate() {
            let wrong = |(reason, hint)| ParameterError { name: name.clone(), reason, hint };
            if parameters.iter().take(at).any(|(earlier, _)| earlier == name) {
                return Err(wrong(("stands there twice".to_owned(), None)));
            }
            if value.is_empty() {
                return Err(wrong(("is empty".to_owned(), None)));
            }
            match name.as_str() {
                "service" => query.service = Some(value.clone()),
                "server" => query.server = Some(value.clone()),
                "client" => query.client = Some(client(value).map_err(|reason| wrong((reason, None)))?),
                "state" => {
                    let state = value.parse().map_err(|error: ParseStateFilterError| {
                        wrong((error.to_string(), Some(StateFilter::expected())))
                    })?;
                    query.state = Some(state);
                }
                _ => match others.iter().zip(&mut rest).find(|(other, _)| *other == name) {
                    Some((_, place)) => *place = Some(value.clone()),
                    None => {
                        let known: Vec<&str> = Self::PARAMETERS.into_iter().chain(others).collect();
                        let hint = closest(name, known.iter().copied())
                            .map(|name| format!("did you mean {name:?}?"))
                            .unwrap_or_else(|| format!("there are {}", known.join(", ")));
                        return Err(wrong(("is unknown".to_owned(), Some(hint))));
                    }
                },
            }
        }
        Ok((query, rest))
    }

    /// The parameters that say the same.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let values = [
            self.service.clone(),
            self.server.clone(),
            self.client.map(|network| network.to_string()),
            self.state.map(|state| state.to_string()),
        ];
        Self::PARAMETERS.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Reads an address, or a network in prefix notation.
///
/// # Errors
/// It is neither; the text says so.
pub fn client(text: &str) -> Result<Network, String> {
    let address = || {
        let address: IpAddr = text.parse().ok()?;
        Network::new(address, if address.is_ipv4() { 32 } else { 128 })
    };
    text.parse().ok().or_else(address).ok_or_else(|| {
        format!("{text:?} is neither an address nor a network, as 198.51.100.7 or 2001:db8:1::/64")
    })
}

impl StateFilter {
    /// True if `state` is meant.
    #[must_use]
    pub fn matches(self, state: State) -> bool {
        match self {
            Self::Is(wanted) => state == wanted,
            Self::Active => state == State::Established,
            Self::Inactive => state != State::Established,
        }
    }

    /// All words, for a hint.
    #[must_use]
    pub fn expected() -> String {
        let names: Vec<&str> = State::names().collect();
        format!("active (established), inactive (all others), or one of {}", names.join(", "))
    }
}

/// A word is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a connection")]
pub struct ParseStateFilterError(String);

impl FromStr for StateFilter {
    type Err = ParseStateFilterError;

    fn from_str(text: &str) -> Result<Self, ParseStateFilterError> {
        match text {
            "active" => Ok(Self::Active),
            "inactive" => Ok(Self::Inactive),
            _ => text.parse().map(Self::Is).map_err(|_| ParseStateFilterError(text.to_owned())),
        }
    }
}

impl fmt::Display for StateFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(state) => state.fmt(f),
            Self::Active => f.write_str("active"),
            Self::Inactive => f.write_str("inactive"),
        }
    }
}

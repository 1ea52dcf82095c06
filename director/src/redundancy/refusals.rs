//! What people are told of messages that are refused: anybody on a link can have us refuse some, but not have us tell
//! of each.

use super::{News, Teller};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::Duration;
use sync::vrrp::timing::Time;

/// How often a reason is told of.
const AGAIN: Duration = Duration::from_mins(1);

/// When each reason was told of.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<&'static str, Time>);

impl Refusals {
    /// Tells that `what` is refused, unless something else was for this `reason` within a minute.
    pub(super) fn tell(
        &mut self,
        teller: &Teller,
        now: Time,
        what: impl Display,
        reason: &'static str,
        words: impl Display,
    ) {
        if self.0.get(reason).is_none_or(|told| now.since(*told) >= AGAIN) {
            self.0.insert(reason, now);
            let text = format!("{what} is refused: {words}; its like is not told of for a while");
            teller.tell(News::Trouble { text });
        }
    }
}

/// What to do about an address that can't be had: to be put behind the error.
pub(super) fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        "; the interface does not have the address: is this machine the node that --node or its host name says?"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reason_is_told_of_once_a_minute() {
        let (teller, mut told) = Teller::new();
        let mut refusals = Refusals::default();
        let at = |seconds| Time::default() + Duration::from_secs(seconds);
        for seconds in [5, 6, 64, 65, 66] {
            refusals.tell(&teller, at(seconds), format_args!("advert {seconds}"), "vrid", "it is another's");
        }
        refusals.tell(&teller, at(66), "a hello", "own", "it is ours");
        drop(teller);
        let mut texts = Vec::new();
        while let Some(happened) = told.next().await {
            texts.push(happened.what);
        }
        let said =
            |what: &str| News::Trouble { text: format!("{what}; its like is not told of for a while") };
        assert_eq!(
            texts,
            [
                said("advert 5 is refused: it is another's"),
                said("advert 65 is refused: it is another's"),
                said("a hello is refused: it is ours")
            ]
        );
    }
}

//! The scheduler of a service and its options.

use super::granularity;
use crate::config::decode::Record as _;
use crate::config::raw::{self, SchedulerName};
use crate::config::report::Diagnostics;
use crate::model::{ClientHash, Scheduler};

pub(super) fn build(raw: &raw::Service, errors: &mut Diagnostics) -> Scheduler {
    let scheduler = named(raw, errors);
    if raw.scheduler.as_ref().is_none_or(|it| !matches!(it.value, SchedulerName::Sh | SchedulerName::Mh)) {
        // Others hash nothing of a client, and options must not be passed over in silence.
        for option in raw.given().iter().filter(|given| given.key.starts_with("hash_")) {
            let message = format!("{} is an option of the schedulers sh and mh", option.key);
            errors.error_hint(option.span, message, "set scheduler: mh, or take it out");
        }
    }
    scheduler
}

fn named(raw: &raw::Service, errors: &mut Diagnostics) -> Scheduler {
    let Some(name) = &raw.scheduler else { return Scheduler::Wrr };
    match name.value {
        SchedulerName::Rr => Scheduler::Rr,
        SchedulerName::Wrr => Scheduler::Wrr,
        SchedulerName::Random => Scheduler::Random,
        SchedulerName::Sh => Scheduler::Sh(client_hash(raw)),
        SchedulerName::Mh => Scheduler::Mh(client_hash(raw)),
        SchedulerName::Dh => Scheduler::Dh,
        SchedulerName::Fo => Scheduler::Fo,
        SchedulerName::Ovf => Scheduler::Ovf,
        SchedulerName::Lc => Scheduler::Lc,
        SchedulerName::Wlc => Scheduler::Wlc,
        SchedulerName::Sed => Scheduler::Sed,
        SchedulerName::Nq => Scheduler::Nq,
        SchedulerName::Lblc | SchedulerName::Lblcr => {
            let message = "lblc and lblcr choose by destination address, which is always the VIP here";
            errors.error_hint(name.span, message, "they are for farms of caches; use wrr");
            Scheduler::Wrr
        }
    }
}

fn client_hash(raw: &raw::Service) -> ClientHash {
    let default = ClientHash::default();
    ClientHash {
        granularity: granularity(raw.hash_granularity.as_ref(), raw.hash_granularity6.as_ref()),
        port: raw.hash_port.as_ref().map_or(default.port, |port| port.value),
        fallback: raw.hash_fallback.as_ref().map_or(default.fallback, |fallback| fallback.value),
    }
}

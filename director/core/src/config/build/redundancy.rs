//! The virtual router that the directors form.

mod keys;
mod links;
mod tracking;

use super::addresses::Addresses;
use super::probes::Probes;
use super::{entries, programs, unknown_name};
use crate::config::decode::Checked;
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::config::values::words;
use crate::model::{Announcements, Mode, Node, Redundancy};
use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;
use sync::vrrp::machine::Preempt;
use sync::vrrp::packet::Checksum;
use sync::vrrp::timing::{Interval, Priority};

/// After a return, with [`Preempt::AfterSync`]: a plain delay for probes and neighbours to settle.
const AFTER_SYNC: Duration = Duration::from_secs(10);
const REFRESH_MINIMUM: Duration = Duration::from_secs(1);

/// `None`: the file has none, or an error was reported.
pub(super) fn build<'a>(
    file: &'a raw::File,
    nodes: &BTreeMap<String, Node>,
    addresses: &Addresses<'_>,
    probes: &mut Probes<'a>,
    errors: &mut Diagnostics,
) -> Option<Redundancy> {
    let section = file.redundancy.as_ref();
    let sync = file.sync.as_deref();
    if let (None, Some(sync)) = (section, &file.sync) {
        let hint = "it is about what directors say to each other: add redundancy, or take it out";
        errors.error_hint(sync.key, "\"sync\" means nothing without \"redundancy\"", hint);
    }
    if let (None, Some(all), 2..) = (section, &file.nodes, nodes.len()) {
        let message =
            "each director that runs is Active and answers for the VIPs: there is no \"redundancy\"";
        let hint = "add redundancy, or leave one node; else run one director at a time";
        errors.warn(all.key, message, hint);
    }
    let Checked { value, broken } = &section?.value;
    let raw = value.as_ref()?;
    let links = links::build(raw.links.as_ref(), section?.key, nodes, errors);
    let (preempt, preempt_delay) = preempt(raw, errors);
    let virtual_mac = raw.virtual_mac.as_ref().is_some_and(|on| on.value);
    Some(Redundancy {
        interval: raw.interval.as_ref().map_or(Interval::DEFAULT, |interval| interval.value),
        priorities: priorities(file, raw, errors),
        preempt,
        preempt_delay,
        startup_delay: raw.startup_delay.as_ref().map_or(Duration::ZERO, |delay| delay.0),
        starts_active: raw.initial_state.as_ref().is_some_and(|state| starts_active(state.value)),
        mode: match raw.mode.as_ref().map(|mode| mode.value) {
            None | Some(raw::Mode::Unicast) => Mode::Unicast,
            Some(raw::Mode::Multicast) => Mode::Multicast,
        },
        key_file: keys::build(raw, sync, !broken, errors),
        checksum: match raw.checksum.as_ref().map(|checksum| checksum.value) {
            None | Some(raw::Reading::Rfc9568) => Checksum::Rfc9568,
            Some(raw::Reading::Rfc5798) => Checksum::Rfc5798,
        },
        virtual_mac,
        announcements: announcements(raw.announce.as_deref(), virtual_mac, errors),
        track: tracking::build(
            raw.track.as_ref(),
            &mut tracking::Context { nodes, links: &links, addresses, probes, errors },
        ),
        notify: raw
            .notify
            .as_ref()
            .map_or_else(Vec::new, |list| programs::command(list, "[/usr/local/bin/on-change, -v]", errors)),
        hello_port: sync.and_then(|sync| sync.port.as_ref()).map_or(Redundancy::DEFAULT_PORT, |port| port.0),
        links,
        vrid: raw.vrid.as_ref().and_then(|vrid| NonZeroU8::new(u8::try_from(vrid.0).ok()?))?,
    })
}

/// The priority of every node of the file.
fn priorities(
    file: &raw::File,
    raw: &raw::Redundancy,
    errors: &mut Diagnostics,
) -> BTreeMap<String, Priority> {
    let nodes = || entries(file.nodes.as_ref()).iter().map(|node| node.name.as_str());
    let mut priorities: BTreeMap<_, _> = nodes().map(|node| (node.to_owned(), Priority::DEFAULT)).collect();
    for given in entries(raw.priority.as_ref()) {
        let Some(priority) = priorities.get_mut(&given.name) else {
            unknown_name("node", &given.name, given.span, nodes(), errors);
            continue;
        };
        let value = given.value.as_ref().and_then(|value| Priority::new(u8::try_from(value.0).ok()?));
        *priority = value.unwrap_or(*priority);
    }
    priorities
}

fn preempt(raw: &raw::Redundancy, errors: &mut Diagnostics) -> (Preempt, Duration) {
    let (preempt, default) = match raw.preempt.as_ref().map(|preempt| preempt.value) {
        Some(raw::Preempt::Never) => (Preempt::Never, Duration::ZERO),
        Some(raw::Preempt::Always) => (Preempt::Always, Duration::ZERO),
        None | Some(raw::Preempt::AfterSync) => (Preempt::AfterSync, AFTER_SYNC),
    };
    if let Some(delay) = raw.preempt_delay.as_ref().filter(|_| preempt == Preempt::Never) {
        let message = "\"preempt_delay\" means nothing with preempt: never";
        errors.error_hint(delay.key, message, "take one of them out");
    }
    (preempt, raw.preempt_delay.as_ref().map_or(default, |delay| delay.0))
}

fn starts_active(state: raw::InitialState) -> bool {
    match state {
        raw::InitialState::Backup => false,
        raw::InitialState::Active | raw::InitialState::Master => true,
    }
}

fn announcements(raw: Option<&raw::Announce>, virtual_mac: bool, errors: &mut Diagnostics) -> Announcements {
    let refresh = raw.and_then(|raw| raw.refresh.as_ref());
    if let Some(often) = refresh.filter(|it| !it.0.is_zero() && it.0 < REFRESH_MINIMUM) {
        let message = format!("a refresh every {} is too often", words(often.0));
        errors.error_hint(often.span, message, "every 1s at most, for each address; 0s for none");
    }
    let default = Announcements::default();
    // Another machine that talks with that MAC address, killed as it may be, draws the switches' traffic to it.
    let often = if virtual_mac { Some(REFRESH_MINIMUM) } else { default.refresh };
    let some = |time: Duration| Some(time).filter(|time| !time.is_zero());
    let count = raw.and_then(|raw| u8::try_from(raw.count.as_ref()?.0).ok());
    Announcements {
        count: count.unwrap_or(default.count),
        spacing: raw.and_then(|raw| raw.spacing.as_ref()).map_or(default.spacing, |spacing| spacing.0),
        repeat: raw.and_then(|raw| raw.repeat.as_ref()).map_or(default.repeat, |repeat| some(repeat.0)),
        refresh: refresh.map_or(often, |refresh| some(refresh.0)),
    }
}

//! The Exchange farm's two directors.

use crate::redundancy::journal::Journal;
use crate::redundancy::{News, Router};
use crate::status::*;
use director_core::config;
use director_core::model::{Announcements, Mode, Redundancy, Side};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;
use sync::vrrp::machine::{Event, Preempt, Role, Why};
use sync::vrrp::packet::Checksum;
use sync::vrrp::timing::{Interval, Priority};

/// lb1's part; it is to be Active.
pub(crate) fn router() -> Router {
    let text = include_str!("../../../deploy/examples/exchange.yaml");
    let nodes = config::load(text, "exchange.yaml").unwrap().nodes;
    let priority = |priority| Priority::new(priority).unwrap();
    let settings = Redundancy {
        vrid: NonZeroU8::new(51).unwrap(),
        interval: Interval::DEFAULT,
        priorities: [("lb1".to_owned(), priority(150)), ("lb2".to_owned(), priority(100))].into(),
        preempt: Preempt::AfterSync,
        preempt_delay: Duration::ZERO,
        startup_delay: Duration::ZERO,
        starts_active: false,
        links: vec![Side::Public, Side::Private],
        mode: Mode::Unicast,
        key_file: None,
        checksum: Checksum::Rfc9568,
        virtual_mac: false,
        announcements: Announcements {
            count: 5,
            spacing: Duration::from_millis(20),
            repeat: None,
            refresh: None,
        },
        track: vec![],
        notify: vec![],
        hello_port: Redundancy::DEFAULT_PORT,
    };
    Router {
        settings: Arc::new(settings),
        nodes: Arc::new(nodes),
        node: "lb1".to_owned(),
        keyring: None,
        configuration: "0123456789abcdef".to_owned(),
    }
}

/// lb1 has become Active.
pub(crate) fn journal() -> Journal {
    let became = |role, why| News::Router(Event::Became(role, why));
    let left = Why::Left([192, 168, 1, 34].into());
    let news = [
        became(Role::Backup, Why::Started),
        became(Role::Active, left),
        News::PeerConfiguration { node: "lb2".into(), same: false },
    ];
    Journal::of(&news, &router())
}

/// lb1 is Active, lb2 is fit.
pub(crate) fn redundancy() -> RedundancyStatus {
    let link = |name: &str, interface: &str| LinkStatus {
        name: name.into(),
        interface: interface.into(),
        up: true,
        silent: false,
        sent: 7_440,
        received: 12,
        heard_seconds: Some(7_432.5),
    };
    RedundancyStatus {
        role: RoleStatus::Active,
        since_seconds: 7_440.25,
        why: "no adverts on any link".into(),
        vrid: 51,
        priority: 150,
        configured_priority: 150,
        fit: true,
        lowered_by: vec![],
        preempt: "after-sync".into(),
        stood_down: false,
        chosen: false,
        caught_up: false,
        interval_seconds: 1.0,
        authenticated: true,
        real_time: true,
        active: None,
        links: vec![link("public", "eth0"), link("private", "eth1")],
        peers: vec![PeerStatus {
            node: "lb2".into(),
            address: [192, 168, 1, 34].into(),
            heard_seconds: Some(0.4),
            reachable: true,
            says: Some(PeerSays {
                role: RoleStatus::Backup,
                priority: 100,
                lowered: 0,
                fit: true,
                caught_up: true,
                version: "0.1.0".into(),
                same_configuration: true,
            }),
        }],
        discards: [("authentication".into(), 3), ("vrid".into(), 0)].into(),
        transitions: 2,
        dual_active_episodes: 1,
        dual_active_seconds: 0.25,
        announcements: 25,
    }
}

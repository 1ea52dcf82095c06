//! The lines about the virtual router.

use crate::status::{ActiveStatus, LinkStatus, PeerSays, PeerStatus, RedundancyStatus, RoleStatus};
use crate::words::printable;
use std::fmt::{self, Formatter};
use std::time::Duration;

/// What this director is, who is Active, the peers and the links.
pub(super) fn write(f: &mut Formatter<'_>, status: &RedundancyStatus) -> fmt::Result {
    let (role, since) = (word(status.role), duration(status.since_seconds));
    let chosen = if status.chosen { ", as an operator wanted: nobody preempts it" } else { "" };
    writeln!(f, "{role} for {since}: {}{chosen}{}", printable(&status.why), active(status))?;
    let signed = if status.authenticated { "signed" } else { "not signed" };
    writeln!(
        f,
        "  virtual router {}, priority {}, adverts every {}, {signed}, preempt {}{}",
        status.vrid,
        priority(status),
        seconds(status.interval_seconds),
        printable(&status.preempt),
        if status.real_time { "" } else { ", no real-time priority" },
    )?;
    for reason in &status.lowered_by {
        writeln!(f, "  not well: {}", printable(reason))?;
    }
    for peer in &status.peers {
        writeln!(f, "  peer {} ({}): {}", printable(&peer.node), peer.address, self::peer(peer))?;
    }
    for link in &status.links {
        writeln!(
            f,
            "  link {} ({}): {}",
            printable(&link.name),
            printable(&link.interface),
            self::link(link)
        )?;
    }
    Ok(())
}

/// What is not as it should be.
pub(super) fn attention(status: &RedundancyStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if !status.fit {
        lines.push("this director is not fit to be Active".to_owned());
    }
    if status.stood_down {
        lines.push(
            "this director was made to step down: it takes over when the Active goes, and not before"
                .to_owned(),
        );
    }
    for peer in &status.peers {
        let name = printable(&peer.node);
        match &peer.says {
            Some(says) if says.role == RoleStatus::Initialize => {
                lines.push(format!("peer {name} has stopped"))
            }
            Some(_) if !peer.reachable => lines.push(format!("peer {name} says nothing any more")),
            Some(says) => {
                if !says.fit {
                    lines.push(format!("peer {name} is not fit to be Active"));
                }
                if !says.same_configuration {
                    lines.push(format!("peer {name} has another configuration"));
                }
                if says.role == RoleStatus::Active && status.role == RoleStatus::Active {
                    lines.push(format!("peer {name} is Active too"));
                }
            }
            None => {}
        }
    }
    for link in &status.links {
        let name = printable(&link.name);
        if !link.up {
            lines.push(format!("link {name} ({}) is down", printable(&link.interface)));
        } else if link.silent {
            lines.push(format!("no adverts come by link {name}, though they come by another"));
        }
    }
    let discards = status.discards.iter().filter(|(_, count)| **count > 0);
    let discards: Vec<_> = discards.map(|(reason, count)| format!("{} {count}", printable(reason))).collect();
    if !discards.is_empty() {
        lines.push(format!("adverts or hellos were refused: {}", discards.join(", ")));
    }
    if status.dual_active_episodes > 0 {
        lines.push(format!(
            "another director was Active at the same time: {} times, {:.1} s in all",
            status.dual_active_episodes, status.dual_active_seconds
        ));
    }
    lines
}

fn active(status: &RedundancyStatus) -> String {
    match (&status.active, status.role) {
        (Some(ActiveStatus { node, address, priority, heard_seconds }), _) => {
            let name = node.as_deref().map_or_else(|| address.to_string(), printable);
            format!("; {name} is Active with priority {priority}, heard {} ago", seconds(*heard_seconds))
        }
        (None, RoleStatus::Backup) => "; no Active is heard".to_owned(),
        (None, RoleStatus::Initialize | RoleStatus::Active) => String::new(),
    }
}

/// The priority in force, and the configured one beside it where that is another.
fn priority(status: &RedundancyStatus) -> String {
    if status.priority == status.configured_priority {
        status.priority.to_string()
    } else {
        format!("{} (of {})", status.priority, status.configured_priority)
    }
}

fn peer(peer: &PeerStatus) -> String {
    let Some(says) = &peer.says else {
        return "says no hello: it does not run, or is another product".to_owned();
    };
    let configuration = if says.same_configuration { "same" } else { "another" };
    let heard = peer.heard_seconds.map(|ago| format!(", heard {} ago", seconds(ago))).unwrap_or_default();
    let state = match (says.role, peer.reachable) {
        (RoleStatus::Initialize, _) => "stopped".to_owned(),
        (RoleStatus::Backup | RoleStatus::Active, true) => state(says),
        (RoleStatus::Backup | RoleStatus::Active, false) => format!("silent, was {}", state(says)),
    };
    format!("{state}, version {}, {configuration} configuration{heard}", printable(&says.version))
}

fn state(says: &PeerSays) -> String {
    let lowered = if says.lowered > 0 { format!(" (lower by {})", says.lowered) } else { String::new() };
    let fit = if says.fit { "fit" } else { "not fit" };
    let caught_up = if says.caught_up || says.role == RoleStatus::Active { "" } else { ", not caught up" };
    format!("{}, priority {}{lowered}, {fit}{caught_up}", word(says.role), says.priority)
}

fn link(link: &LinkStatus) -> String {
    let state = if link.up { "up" } else { "down" };
    let heard = link.heard_seconds.map(|ago| format!(", the last {} ago", seconds(ago))).unwrap_or_default();
    format!("{state}, {} adverts sent, {} heard{heard}", link.sent, link.received)
}

fn word(role: RoleStatus) -> &'static str {
    match role {
        RoleStatus::Initialize => "Initialize",
        RoleStatus::Backup => "Backup",
        RoleStatus::Active => "Active",
    }
}

/// Short times to the millisecond, others to the second.
fn seconds(seconds: f64) -> String {
    if seconds < 60.0 { format!("{:.3} s", seconds.max(0.0)) } else { duration(seconds) }
}

fn duration(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::status::Status;
    use crate::table::Table;

    fn text(redundancy: Option<RedundancyStatus>) -> String {
        Table(&Status { redundancy, ..sample::status() }).to_string()
    }

    #[test]
    fn an_active_stands_at_the_top() {
        let expected = "\
director lb1, version 0.1.0, up 2h 5m
Active for 2h 4m: no adverts on any link
  virtual router 51, priority 150, adverts every 1.000 s, signed, preempt after-sync
  peer lb2 (192.168.1.34): Backup, priority 100, fit, version 0.1.0, same configuration, heard 0.400 s ago
  link public (eth0): up, 7440 adverts sent, 12 heard, the last 2h 3m 52s ago
  link private (eth1): up, 7440 adverts sent, 12 heard, the last 2h 3m 52s ago
configuration ";
        let text = text(Some(sample::redundancy()));
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\n! adverts or hellos were refused: authentication 3\n"), "{text}");
        assert!(
            text.contains("\n! another director was Active at the same time: 1 times, 0.2 s in all\n"),
            "{text}"
        );
    }

    #[test]
    fn a_backup_names_the_active_and_what_is_not_well() {
        let mut status = sample::redundancy();
        (status.role, status.why, status.fit, status.stood_down) =
            (RoleStatus::Backup, "the operator wants lb2 to be Active".into(), false, true);
        status.active = Some(ActiveStatus {
            node: Some("lb2".into()),
            address: [192, 168, 1, 34].into(),
            priority: 100,
            heard_seconds: 0.0312,
        });
        status.real_time = false;
        (status.priority, status.lowered_by) = (1, vec!["eth2 has no carrier: not fit".into()]);
        (status.links[0].up, status.links[1].silent) = (false, true);
        let says = status.peers[0].says.as_mut().unwrap();
        (says.fit, says.same_configuration, says.caught_up) = (false, false, false);
        let text = text(Some(status.clone()));
        for line in [
            "Backup for 2h 4m: the operator wants lb2 to be Active; lb2 is Active with priority 100, heard 0.031 s ago",
            "  virtual router 51, priority 1 (of 150), adverts every 1.000 s, signed, preempt after-sync, no real-time priority",
            "  not well: eth2 has no carrier: not fit",
            "! this director is not fit to be Active",
            "! this director was made to step down: it takes over when the Active goes, and not before",
            "! peer lb2 is not fit to be Active",
            "! peer lb2 has another configuration",
            "! link public (eth0) is down",
            "! no adverts come by link private, though they come by another",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        }
        assert!(text.contains("priority 100, not fit, not caught up, version 0.1.0, another configuration"));
        (status.active, status.peers[0].reachable) = (None, false);
        assert!(active(&status).contains("no Active is heard"));
        assert!(attention(&status).contains(&"peer lb2 says nothing any more".to_owned()));
        assert!(
            peer(&status.peers[0]).starts_with("silent, was Backup, priority 100, not fit, not caught up, ")
        );
        let says = status.peers[0].says.as_mut().unwrap();
        (says.role, says.lowered) = (RoleStatus::Active, 20);
        assert!(
            peer(&status.peers[0]).starts_with("silent, was Active, priority 100 (lower by 20), not fit, ")
        );
        status.peers[0].says.as_mut().unwrap().role = RoleStatus::Initialize;
        assert!(peer(&status.peers[0]).starts_with("stopped, version 0.1.0, another configuration, heard "));
        assert!(attention(&status).contains(&"peer lb2 has stopped".to_owned()));
        status.peers[0].says = None;
        assert!(peer(&status.peers[0]).starts_with("says no hello"));
    }

    #[test]
    fn one_that_an_operator_chose_says_so() {
        let status = RedundancyStatus { chosen: true, why: "lb2 left".into(), ..sample::redundancy() };
        let text = text(Some(status));
        assert!(
            text.contains("\nActive for 2h 4m: lb2 left, as an operator wanted: nobody preempts it\n"),
            "{text}"
        );
    }

    #[test]
    fn a_backup_misses_no_addresses() {
        let missing = "! address 192.168.1.35 is missing on eth0\n";
        for (role, misses) in [(RoleStatus::Active, true), (RoleStatus::Backup, false)] {
            let redundancy = Some(RedundancyStatus { role, ..sample::redundancy() });
            let mut status = Status { redundancy, ..sample::status() };
            status.addresses[0].present = false;
            assert_eq!(Table(&status).to_string().contains(missing), misses, "{role:?}");
        }
    }

    #[test]
    fn a_sole_director_shows_nothing_of_it() {
        let text = text(None);
        assert!(text.starts_with("director lb1, version 0.1.0, up 2h 5m\nconfiguration "), "{text}");
        assert!(!text.contains("Active for") && !text.contains("peer"), "{text}");
    }

    #[test]
    fn no_answer_is_told() {
        let redundancy_error = Some("it hangs".into());
        let status = Status { redundancy: None, redundancy_error, ..sample::status() };
        assert!(
            Table(&status).to_string().contains("\n! nothing is known of the virtual router: it hangs\n")
        );
    }

    #[test]
    fn times_fit_their_length() {
        for (given, shown) in [
            (0.0004, "0.000 s"),
            (59.9, "59.900 s"),
            (60.0, "1m"),
            (3_661.5, "1h 1m 1s"),
            (-1.0, "0.000 s"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(seconds(given), shown);
        }
    }
}

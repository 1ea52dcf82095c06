//! Backup (RFC 9568, section 6.4.2).

use super::choice::Choice;
use super::hearing::{Leader, Left, Preempted};
use super::{Event, Heard, Link, Machine, Output, Peers, Preempt, Role, Why};
use crate::vrrp::timing::{Priority, Time, down, silence, skew};
use std::net::IpAddr;
use std::time::Duration;

impl Machine {
    pub(super) fn listen(&mut self, now: Time, heard: Heard, out: &mut Vec<Output>) {
        if heard.from == self.settings.address {
            return;
        }
        self.note_link(now, heard.link, out);
        self.overslept = false;
        match Priority::new(heard.priority) {
            None => self.succeed(now, heard, out),
            Some(priority) if self.preempts(now, heard.from, priority) => {
                self.left = None;
                self.preempted = Some(Preempted { from: heard.from, priority });
                if self.leader.take_if(|leader| leader.from == heard.from).is_some() {
                    out.push(Output::Note(Event::Preempts { from: heard.from, priority }));
                }
                // A start-up delay, or the skew of somebody who left, may run out earlier or later than this.
                let patience = now + down(self.priority(), heard.interval);
                self.deadline = Some(self.deadline.map_or(patience, |deadline| deadline.min(patience)));
            }
            Some(priority) => self.follow(now, heard, priority, out),
        }
    }

    /// The Active lives, and is to stay.
    pub(super) fn follow(&mut self, now: Time, heard: Heard, priority: Priority, out: &mut Vec<Output>) {
        let interval = self.leader.map_or(self.settings.interval, |leader| leader.interval);
        let sender = Leader { from: heard.from, priority, interval: heard.interval, heard: now };
        let better = |leader: &Leader| {
            leader.from != sender.from
                && (leader.priority, leader.from) > (priority, sender.from)
                && now.since(leader.heard) < silence(leader.interval)
        };
        let leader = self.leader.filter(better).unwrap_or(sender);
        if leader.interval != interval {
            out.push(Output::Note(Event::Interval { from: leader.from, interval: leader.interval }));
        }
        self.leader = Some(leader);
        (self.preempted, self.left) = (None, None);
        self.deadline = Some(now + down(self.priority(), leader.interval));
    }

    /// Somebody leaves: the Active, or the loser of two.
    pub(super) fn succeed(&mut self, now: Time, heard: Heard, out: &mut Vec<Output>) {
        if self.leader.is_some_and(|leader| leader.from != heard.from) {
            return;
        }
        (self.leader, self.preempted) = (None, None);
        let known = self.peers.get(&heard.from).is_some_and(Option::is_some);
        self.left = Some(Left { from: heard.from, known });
        let skew = skew(self.priority(), heard.interval);
        let wait = match heard.successor {
            Some(successor) if successor == self.settings.address => Duration::ZERO,
            // Time for the one who was named.
            Some(_) => heard.interval.duration() + skew,
            None if self.settings.peers == Peers::One && !self.unfit() => Duration::ZERO,
            None => skew,
        };
        if wait.is_zero() {
            self.take_over(now, Why::Left(heard.from), out);
        } else {
            // The same word comes by every link.
            let wait = now + wait;
            self.deadline = Some(self.deadline.map_or(wait, |deadline| deadline.min(wait)));
        }
    }

    pub(super) fn preempts(&mut self, now: Time, from: IpAddr, priority: Priority) -> bool {
        if priority >= self.priority() {
            self.outranks_since = None;
            return false;
        }
        let since = *self.outranks_since.get_or_insert(now);
        let wants = match self.settings.preempt {
            _ if self.priority() == Priority::OWNER => true,
            Preempt::Never => false,
            Preempt::Always => true,
            Preempt::AfterSync => self.caught_up,
        };
        let chosen = self.peers.get(&from).copied().flatten().is_some_and(|peer| peer.chosen);
        wants && !self.stood_down && !chosen && now.since(since) >= self.settings.preempt_delay
    }

    /// Active_Down_Timer fired.
    pub(super) fn down(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(deadline) = self.deadline.filter(|&deadline| deadline <= now) else { return };
        let interval = self.leader.map_or(self.settings.interval, |leader| leader.interval);
        let late = now.since(deadline);
        if self.deaf() {
            self.deadline = None;
        } else if late > interval.duration() && !self.overslept && self.settings.peers != Peers::None {
            self.overslept = true;
            self.deadline = Some(now + down(self.priority(), interval));
            out.push(Output::Note(Event::Overslept(late)));
        } else {
            // Peers that let it come to this are not there, unless it preempts.
            if self.outranks_since.is_none() {
                self.peers.values_mut().for_each(|peer| *peer = None);
            }
            let why = match (self.preempted, self.left) {
                (Some(Preempted { from, priority }), _) => Why::Preempted { from, priority },
                (None, Some(Left { from, .. })) => Why::Left(from),
                (None, None) => Why::Silence,
            };
            self.take_over(now, why, out);
        }
    }

    /// After a change of links: a deaf director waits for nothing, one that was deaf listens first.
    pub(super) fn prick_ears(&mut self, now: Time, was_deaf: bool) {
        if self.deaf() {
            self.deadline = None;
        } else if was_deaf {
            self.deadline = Some(now + down(self.priority(), self.settings.interval));
        }
    }

    pub(super) fn take_over(&mut self, now: Time, why: Why, out: &mut Vec<Output>) {
        self.advert(now, out);
        out.extend([Output::Acquire, Output::Announce]);
        self.alone = self.unfit();
        self.stood_down = false;
        self.ailment = self.ails();
        let (preempted, left) = (self.preempted, self.left.filter(|left| left.known));
        self.enter(now, Role::Active, Some(now + self.settings.interval.duration()), why, out);
        self.preempted = preempted;
        self.choice = left.map_or(Choice::None, |left| Choice::Open(left.from));
    }

    /// Adverts that come by one link and not by another tell of a broken one.
    pub(super) fn note_link(&mut self, now: Time, heard: Link, out: &mut Vec<Output>) {
        let interval = self.leader.map_or(self.settings.interval, |leader| leader.interval);
        // This one comes by some link before it comes by the others, which may be after a long pause.
        // Adverts of one moment waited together: those of the other links may be next.
        let earlier = self.links.values().map(|hearing| hearing.heard).filter(|&heard| heard < now);
        let before = earlier.max().unwrap_or(now);
        for (&link, hearing) in &mut self.links {
            if self.leader.is_none() {
                hearing.heard = now;
            }
            let silent = link != heard && before.since(hearing.heard) > silence(interval);
            if link == heard {
                hearing.heard = now;
                if std::mem::take(&mut hearing.silent) {
                    out.push(Output::Note(Event::LinkHeard(link)));
                }
            } else if hearing.up && silent && !std::mem::replace(&mut hearing.silent, true) {
                out.push(Output::Note(Event::LinkSilent(link)));
            }
        }
    }
}

//! Active (RFC 9568, section 6.4.3).

use super::hearing::Leader;
use super::{Event, Heard, LEAVING, Machine, Output, Peer, Peers, Preempt, Refusal, Role, Why};
use crate::vrrp::timing::{Interval, Priority, Time, down, silence};
use std::net::IpAddr;
use std::time::Duration;

impl Machine {
    /// Adver_Timer fired.
    pub(super) fn advertise(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(deadline) = self.deadline.filter(|&deadline| deadline <= now) else { return };
        self.answers = 0;
        self.advert(now, out);
        let interval = self.settings.interval.duration();
        let next = deadline + interval;
        self.deadline = Some(if next > now { next } else { now + interval });
        if self.dual.ended(now) {
            out.push(Output::Note(Event::DualActiveEnded));
        }
    }

    pub(super) fn meet(&mut self, now: Time, heard: Heard, out: &mut Vec<Output>) {
        if heard.from == self.settings.address {
            return;
        }
        let Some(priority) = Priority::new(heard.priority) else {
            self.answer(now, out);
            return;
        };
        if (priority, heard.from) > (self.priority(), self.settings.address) {
            let leader = Leader { from: heard.from, priority, interval: heard.interval, heard: now };
            let wait = down(self.priority(), heard.interval);
            // Not 0: it tells the winner to announce, and nobody to race for the addresses.
            let last = Output::Advertise { priority: self.priority().get(), successor: None };
            out.extend([Output::Release, last]);
            self.back_up(now, wait, Some(leader), Why::Outranked { by: heard.from, priority }, out);
            return;
        }
        // Whoever it took over from may say a last word; more, and both are Active.
        let preempted = self.preempted.is_some_and(|it| it.from == heard.from);
        let last_word = preempted && now.since(self.since) < heard.interval.duration();
        if !last_word && self.dual.heard(now, silence(self.settings.interval)) {
            out.push(Output::Note(Event::DualActive { from: heard.from, priority }));
        }
        if self.answer(now, out) {
            out.push(Output::Announce);
        }
    }

    /// What a peer says of itself tells of two Actives even if no advert passes between them. A word that was said
    /// before it heard us does not.
    pub(super) fn compare(&mut self, now: Time, from: IpAddr, peer: Option<Peer>, out: &mut Vec<Output>) {
        let Some(Peer { priority, .. }) = peer.filter(|peer| peer.active && from != self.settings.address)
        else {
            self.claims.take_if(|claim| claim.0 == from);
            return;
        };
        let &mut (who, since) = self.claims.get_or_insert((from, now));
        if who == from && now.since(since) >= CLAIM && self.dual.heard(now, silence(Interval::DEFAULT)) {
            out.push(Output::Note(Event::DualActive { from, priority }));
        }
    }

    /// An advert out of turn, so that the others and the switches between know where the Active is. Not without end:
    /// somebody may not hear us.
    pub(super) fn answer(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        let answers = self.answers < ANSWERS;
        if answers {
            self.answers += 1;
            self.advert(now, out);
        }
        answers
    }

    /// Gives up what a better director can have.
    pub(super) fn reconsider(&mut self, now: Time, out: &mut Vec<Output>) {
        let own = self.priority();
        self.alone &= self.unfit();
        let stays = self.stays();
        if stays || self.settings.peers == Peers::None {
            return;
        }
        let after_sync = self.settings.preempt == Preempt::AfterSync;
        let lowered = self.fitness.lowered();
        // What ails both is no reason: it would come back as soon as the other one looks at itself.
        let ahead = |peer: &Peer| peer.priority > own && peer.lowered < lowered;
        let better = |peer: &Peer| self.unfit() || ahead(peer) && (peer.caught_up || !after_sync);
        // One that the operator made step down, if nobody else can.
        let willing = self.best(|peer| better(peer) && !peer.stood_down);
        if let Some(to) = willing.or_else(|| self.best(better)) {
            self.yield_to(now, Some(to), Why::Yielded { to: Some(to) }, out);
        } else if self.unfit() && self.peers.is_empty() && !self.alone {
            self.yield_to(now, None, Why::Yielded { to: None }, out);
        }
    }

    pub(super) fn step_down(&mut self, now: Time, to: Option<IpAddr>, force: bool, out: &mut Vec<Output>) {
        match self.successor(to, force) {
            Ok(successor) => {
                self.yield_to(now, successor, Why::StoodDown { to: successor }, out);
                self.stood_down = true;
            }
            Err(refusal) => out.push(Output::Note(Event::Refused(refusal))),
        }
    }

    pub(super) fn successor(&self, to: Option<IpAddr>, force: bool) -> Result<Option<IpAddr>, Refusal> {
        if self.settings.peers == Peers::None {
            return Err(Refusal::NoPeers);
        }
        let after_sync = self.settings.preempt == Preempt::AfterSync;
        let fit = |peer: &Peer| peer.fit && (peer.caught_up || !after_sync);
        let Some(to) = to else {
            let best = self.best(fit);
            return if best.is_some() || force { Ok(best) } else { Err(Refusal::NoFitPeer) };
        };
        match self.peers.get(&to).copied().flatten() {
            _ if to == self.settings.address => Err(Refusal::Itself),
            _ if force => Ok(Some(to)),
            None => Err(Refusal::Unknown(to)),
            Some(peer) if !peer.fit => Err(Refusal::Unfit(to)),
            Some(peer) if !fit(&peer) => Err(Refusal::NotCaughtUp(to)),
            Some(_) => Ok(Some(to)),
        }
    }

    pub(super) fn yield_to(&mut self, now: Time, successor: Option<IpAddr>, why: Why, out: &mut Vec<Output>) {
        out.extend([Output::Release, Output::Advertise { priority: LEAVING, successor }]);
        self.back_up(now, down(self.priority(), self.settings.interval), None, why, out);
    }

    /// Whatever woke it: if the others must have taken it for dead, it gives up before it does anything.
    pub(super) fn thaw(&mut self, now: Time, out: &mut Vec<Output>) {
        let slept = now.since(self.sent);
        let given_up = slept >= silence(self.settings.interval) && self.settings.peers != Peers::None;
        if self.role == Role::Active && given_up {
            out.push(Output::Release);
            let wait = down(self.priority(), self.settings.interval);
            self.back_up(now, wait, None, Why::Frozen(slept), out);
        }
    }

    pub(super) fn advert(&mut self, now: Time, out: &mut Vec<Output>) {
        self.sent = now;
        out.push(Output::Advertise { priority: self.priority().get(), successor: None });
    }
}

/// Adverts out of turn between two regular ones: a loser's advert and last word over two links.
pub(super) const ANSWERS: u8 = 4;
/// For so long a peer says that it is Active before that is believed.
const CLAIM: Duration = Duration::from_secs(1);

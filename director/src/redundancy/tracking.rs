//! What else must be well for this director to be Active: interfaces by their carrier, hosts and programs by probes.
//!
//! Everything is tracked in every role. A reload changes what is tracked; what stays keeps what is known of it.

mod findings;

use super::{Lowered, News, Orders, Router, Teller};
use crate::kernel::address::picture::{Change, Picture};
use crate::kernel::address::{AddressError, Addresses, Changes};
use crate::targets::{self, Role};
use director_core::model::{Track, Tracked};
use director_nft::fnv::fnv1a;
use findings::{Carrier, Findings, target_id};
use health::prober::Probing;
use health::{Limits, Targets, Verdicts};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A kernel that does not say its links is asked again after that.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tracks until it is dropped.
#[derive(Debug)]
pub struct Tracking {
    _task: JoinSet<()>,
}

/// Tracks what the router of `orders` names, and says in `lowered` what comes of it. Must be called within a runtime.
#[must_use]
pub fn spawn(orders: watch::Receiver<Orders>, lowered: watch::Sender<Lowered>, teller: Teller) -> Tracking {
    let mut task = JoinSet::new();
    let tracker = Tracker {
        lowered,
        teller,
        track: Vec::new(),
        findings: Findings::default(),
        probes: None,
        carriers: None,
    };
    task.spawn(tracker.run(orders));
    Tracking { _task: task }
}

struct Tracker {
    lowered: watch::Sender<Lowered>,
    teller: Teller,
    track: Vec<Track>,
    findings: Findings,
    /// Begun with the first probe.
    probes: Option<Probes>,
    /// There while interfaces are tracked.
    carriers: Option<Carriers>,
}

/// A prober for what is tracked alone.
struct Probes {
    targets: watch::Sender<Targets>,
    verdicts: watch::Receiver<Verdicts>,
    _until_it_stops: Probing,
}

/// Links as the kernel tells them.
struct Carriers {
    kernel: Addresses,
    changes: Changes,
    /// `None` before the kernel was asked.
    picture: Option<Picture>,
    /// The kernel is to be asked anew.
    stale: bool,
}

impl Tracker {
    async fn run(mut self, mut orders: watch::Receiver<Orders>) {
        orders.mark_changed();
        loop {
            tokio::select! {
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let router = orders.borrow_and_update().router.clone();
                    self.follow(router.as_deref());
                }
                () = verdict(&mut self.probes) => {}
                () = carrier(&mut self.carriers) => {}
            }
            self.look();
        }
    }

    /// Tracks what this router names, from now on.
    fn follow(&mut self, router: Option<&Router>) {
        self.track = router.map_or(vec![], |router| router.settings.track.clone());
        let wanted = router.map_or_else(BTreeMap::new, wanted);
        if let Some(probes) = &self.probes {
            let unchanged = **probes.targets.borrow() == wanted;
            if !unchanged {
                probes.targets.send_replace(Arc::new(wanted));
            }
        } else if let Some(router) = router.filter(|_| !wanted.is_empty()) {
            match Probes::begin(wanted, fnv1a(router.node.as_bytes())) {
                Ok(probes) => self.probes = Some(probes),
                Err(error) => self.trouble(format!("tracked targets can't be probed: {error}")),
            }
        }
        let interfaces = self.track.iter().any(|track| matches!(track.what, Tracked::Interface(_)));
        match (&self.carriers, interfaces) {
            (None, true) => match Carriers::open() {
                Ok(carriers) => self.carriers = Some(carriers),
                Err(error) => self.trouble(format!("tracked interfaces can't be watched: {error}")),
            },
            (_, false) => self.carriers = None,
            (Some(_), true) => {}
        }
    }

    /// Tells what has changed.
    fn look(&mut self) {
        let verdicts = self.probes.as_mut().map(|probes| probes.verdicts.borrow_and_update().clone());
        let carriers = self.carriers.as_ref();
        let carrier = |name: &str| carriers.map_or(Carrier::Unknown, |carriers| carriers.of(name));
        let findings = Findings::of(&self.track, carrier, &verdicts.unwrap_or_default());
        for news in findings.news(&self.findings, &self.track) {
            self.teller.tell(news);
        }
        let lowered = findings.lowered();
        self.findings = findings;
        self.lowered.send_if_modified(|told| {
            let changed = *told != lowered;
            *told = lowered;
            changed
        });
    }

    fn trouble(&self, text: String) {
        self.teller.tell(News::Trouble { text });
    }
}

impl Probes {
    fn begin(wanted: BTreeMap<health::TargetId, health::Target>, seed: u64) -> std::io::Result<Self> {
        let limits = Limits { concurrency: wanted.len().max(Self::AT_ONCE), seed };
        let (targets, probed) = watch::channel(Arc::new(wanted));
        let (verdicts, _until_it_stops) = health::prober::spawn(probed, limits)?;
        Ok(Self { targets, verdicts, _until_it_stops })
    }

    /// As much as can be tracked.
    const AT_ONCE: usize = 64;
}

impl Carriers {
    fn open() -> Result<Self, AddressError> {
        Ok(Self { changes: Changes::open()?, kernel: Addresses::open()?, picture: None, stale: true })
    }

    fn of(&self, interface: &str) -> Carrier {
        let Some(picture) = &self.picture else { return Carrier::Unknown };
        match picture.link(interface) {
            None => Carrier::Missing,
            Some(link) if !link.up => Carrier::Down,
            Some(link) if !link.carrier => Carrier::Lost,
            Some(_) => Carrier::Up,
        }
    }

    /// Waits until something is known that was not. Cancel safe.
    async fn changed(&mut self) {
        loop {
            if self.stale {
                match self.kernel.picture().await {
                    Ok(picture) => {
                        (self.picture, self.stale) = (Some(picture), false);
                        return;
                    }
                    Err(_) => tokio::time::sleep(PATIENCE).await,
                }
                continue;
            }
            let (changes, picture) = (self.changes.next().await, self.picture.get_or_insert_default());
            let mut changed = false;
            for change in changes {
                self.stale |= change == Change::Lost;
                changed |= picture.take(change);
            }
            if changed {
                return;
            }
        }
    }
}

async fn verdict(probes: &mut Option<Probes>) {
    if let Some(probes) = probes
        && probes.verdicts.changed().await.is_ok()
    {
        return;
    }
    pending().await
}

async fn carrier(carriers: &mut Option<Carriers>) {
    match carriers {
        Some(carriers) => carriers.changed().await,
        None => pending().await,
    }
}

/// What is to be probed for a router.
fn wanted(router: &Router) -> BTreeMap<health::TargetId, health::Target> {
    let Some(node) = router.nodes.get(&router.node) else { return BTreeMap::new() };
    let target = |track: &Track| match &track.what {
        Tracked::Interface(_) => None,
        Tracked::Probe(probe, address) => {
            let target = targets::target(node, probe, *address, Role::Active, probe.policy.start);
            Some((target_id(track, *address), target))
        }
    };
    router.settings.track.iter().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use director_core::model::{ProbeSpec, Redundancy};
    use health::Kind;
    use std::net::{SocketAddr, TcpListener};
    use sync::vrrp::machine::Fitness;
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_secs(10);

    fn orders(track: Vec<Track>) -> Orders {
        let router = sample::router();
        let settings = Arc::new(Redundancy { track, ..Redundancy::clone(&router.settings) });
        Orders { addresses: None, router: Some(Arc::new(Router { settings, ..router })) }
    }

    fn interface(name: &str) -> Track {
        Track { name: name.into(), what: Tracked::Interface(name.into()), lower: Some(20) }
    }

    fn connect(to: SocketAddr) -> Track {
        let mut probe = ProbeSpec { kind: Arc::new(Kind::Tcp), ..sample::probe() };
        (probe.interval, probe.retry, probe.jitter) = [Duration::from_millis(100); 3].into();
        (probe.policy.rise, probe.policy.fall, probe.source) = (1, 1, Default::default());
        Track { name: "peer".into(), what: Tracked::Probe(Arc::new(probe), to), lower: None }
    }

    async fn becomes(told: &mut watch::Receiver<Lowered>, fitness: Fitness) -> Lowered {
        let told = timeout(LIMIT, told.wait_for(|told| told.fitness == fitness)).await;
        told.unwrap().unwrap().clone()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn interfaces_and_hosts_are_followed_across_reloads() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = connect(listener.local_addr().unwrap());
        let (orders_tx, (teller, mut news)) =
            (watch::Sender::new(orders(vec![interface("lo"), host.clone()])), Teller::new());
        let lowered = watch::Sender::new(Lowered::default());
        let mut told = lowered.subscribe();
        let _tracking = spawn(orders_tx.subscribe(), lowered, teller);

        orders_tx.send_replace(orders(vec![interface("lo"), interface("missing0"), host.clone()]));
        let missing = "there is no interface missing0: priority lower by 20";
        assert_eq!(becomes(&mut told, Fitness::Lowered(20)).await.reasons, [missing]);

        drop(listener);
        let unfit = becomes(&mut told, Fitness::Unfit).await;
        assert_eq!(unfit.reasons.len(), 2, "{unfit:?}");
        assert!(unfit.reasons[1].starts_with("peer fails (connection refused"), "{unfit:?}");
        assert!(unfit.reasons[1].ends_with("): not fit"), "{unfit:?}");

        orders_tx.send_replace(orders(vec![host]));
        let unfit =
            timeout(LIMIT, told.wait_for(|told| told.reasons.len() == 1)).await.unwrap().unwrap().clone();
        assert_eq!(unfit.fitness, Fitness::Unfit, "what stays is not forgotten");

        orders_tx.send_replace(Orders::default());
        becomes(&mut told, Fitness::Fit).await;
        let first = news.next().await.unwrap().what;
        assert_eq!(first, News::Tracked { well: false, text: missing.to_owned() });
    }
}

//! The kernel's one lock for all links and addresses of the machine, held by somebody else.
//!
//! Alone in its file: tests run file by file, and who holds the lock keeps a processor busy.

mod farm;

use farm::{ADMIN, LIMIT, pair};
use lab::{Lab, eventually};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::thread;
use std::time::{Duration, Instant};

/// Three adverts and the skew of a director with priority 100.
const DOWN: Duration = Duration::from_millis(361);

#[test]
fn adverts_go_on_while_somebody_else_changes_links() {
    lab::test(|| {
        // Each on a processor of its own.
        let myself = Pid::from_raw(0);
        let allowed = sched_getaffinity(myself)?;
        let mut processors = (0..CpuSet::count()).filter(|number| allowed.is_set(*number).unwrap_or(false));
        let (Some(ours), Some(theirs)) = (processors.next(), processors.next()) else {
            return Err("two processors".into());
        };
        let mut only = CpuSet::new();
        only.set(ours)?;
        sched_setaffinity(myself, &only)?;

        let lab = Lab::exchange()?;
        let with = lab.configuration(&pair(""));
        let without = with.replace(&format!("exchange1-admin: {{ vip: {ADMIN}, server: exchange1 }}"), "{}");
        let (lab, pair, _servers) = lab.serve_pair(&pair(""))?;
        pair.active_is("lb1")?;
        let transitions = || -> lab::Result<Vec<_>> {
            pair.directors().iter().map(|it| Ok(it.redundancy()?["transitions"].clone())).collect()
        };
        let before = transitions()?;
        let others = lab.client().host();
        let links: String = (0..5000)
            .map(|number| format!("link add link eth0 name many{number} group 7 type macvlan\n"))
            .collect();
        others.feed("ip -batch -", &links)?;
        let longest = thread::scope(|scope| {
            let locking = scope.spawn(|| others.run(&format!("taskset -c {theirs} ip link delete group 7")));
            let mut longest = Duration::ZERO;
            for wanted in [false, true].into_iter().cycle() {
                let begun = Instant::now();
                pair["lb1"].reload(if wanted { &with } else { &without })?;
                eventually(LIMIT, "the address goes and comes", || {
                    pair["lb1"].host().has_address(ADMIN).is_ok_and(|there| there == wanted)
                })?;
                longest = longest.max(begun.elapsed());
                if locking.is_finished() {
                    break;
                }
            }
            locking.join().map_err(|_| "ip")??;
            Ok::<_, Box<dyn std::error::Error>>(longest)
        })?;
        assert!(longest > DOWN, "an address took {longest:?}: the lock was free too often");
        assert_eq!(transitions()?, before);
        Ok(())
    });
}

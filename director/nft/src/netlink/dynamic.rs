//! Elements that packets put into a map, and that user space lists, refreshes, pins, deletes and moves meanwhile.
//!
//! Packets add, refresh and delete such elements between any two requests of ours, so a change is sent as what fitted
//! a moment ago, or probably fits; the kernel names every element that it does not fit, and those are sent otherwise.
//! That costs all who change nf_tables a grace period of RCU, some milliseconds: to look before is cheaper.
//!
//! A rule's `update` does not see an element that a transaction is about to add or to delete (it asks for one that is
//! active in both generations), and adds another one of that key: then there are two, the packet's before ours. So
//! what was put is read back, and what was deleted is deleted again.
//!
//! What else the kernel warrants, 6.1 as 6.18: an element with a timeout of its own, or a part of it left, is kept
//! so; a rule's `update` sets what is left to the rule's timeout, never touches the data, and leaves an element
//! without timeout alone, as does the collection of those that timed out.

use super::attribute::Writer;
use super::batch::{Batch, message};
use super::constants::element as attr;
use super::element::{self, ReadElement};
use super::socket::{INTERRUPTED, Socket};
use super::{Error, Nft, read};
use crate::ir::{Datum, Element, ElementData, Key, MapData, MapSpec, TABLE};
use nftnl::nftnl_sys::libc;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

/// So many elements change at once: a refusal of each must fit the receive buffer.
const CHUNK: usize = 200;

/// So few are looked at before, as nobody knows yet whether they are there.
const FEW: usize = 16;

/// How often a chunk is sent because packets were quicker, before each of its elements is sent alone.
const CHUNK_ATTEMPTS: u32 = 4;

/// How often an element is sent alone.
const ATTEMPTS: u32 = 20;

/// How many elements of one key are deleted, which packets can make while others change.
const DUPLICATES: u32 = 3;

/// Longest life of an element, about 300 years; the kernel refuses twice of it.
const LIFE_MAX: u64 = 10_000_000_000_000;

/// An element of a map that packets fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicElement {
    /// Its key.
    pub key: Key,
    /// Its data; empty in a set.
    pub data: Vec<Datum>,
    /// Its life from the last refreshment on, to the millisecond; `None` if it stays for ever.
    pub timeout: Option<Duration>,
    /// What is left of that. To put an element, `None` is all of it.
    pub expires: Option<Duration>,
}

/// What putting does with an element that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It makes way.
    Replace,
    /// It stays as it is.
    OnlyMissing,
}

impl Nft {
    /// Hands over the elements of a map one by one, in no order, until `each` has seen enough. Memory does not grow
    /// with their number. Time does with its square, for the kernel begins each 32 KiB at the first element: 100,000 take
    /// some tenths of a second, a million a minute. While others add or delete, an element may be missed or handed
    /// over twice.
    ///
    /// It takes a socket of its own, in the network namespace that the calling thread has now.
    ///
    /// # Errors
    /// [`Error::Request`], with `ENOENT` if there is no such map.
    pub fn each_dynamic(
        &mut self,
        map: &str,
        mut each: impl FnMut(DynamicElement) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let spec = self.specification(map)?;
        let mut request = message(libc::NFT_MSG_GETSETELEM, libc::NLM_F_DUMP);
        request.text(attr::LIST_TABLE, TABLE).text(attr::LIST_SET, map);
        let visited = Socket::open().and_then(|mut socket| {
            socket.visit(request, |answer| {
                let list = answer.attributes().get(attr::LIST_ELEMENTS);
                list.into_iter()
                    .flat_map(|list| list.nested())
                    .filter_map(|item| element::read(&spec, item))
                    .try_for_each(|element| each(living(&spec, element)))
            })
        });
        match visited {
            Err(error) if error.raw_os_error() == Some(INTERRUPTED) => Ok(()),
            Err(error) => {
                Err(Error::Request { what: format!("reading the elements of the map {map}"), error })
            }
            Ok(ControlFlow::Continue(()) | ControlFlow::Break(())) => Ok(()),
        }
    }

    /// One element of a map; `None` if it is not there.
    ///
    /// # Errors
    /// As [`Self::each_dynamic`].
    pub fn dynamic_element(&mut self, map: &str, key: &Key) -> Result<Option<DynamicElement>, Error> {
        let spec = self.specification(map)?;
        let element = read::element(&mut self.socket, map, &spec, key)?;
        Ok(element.map(|element| living(&spec, element)))
    }

    /// Puts elements into a map, 200 at once; tells how many it put. Of a key that is given twice, the
    /// last one stays (of [`Put::OnlyMissing`] the first).
    ///
    /// # Errors
    /// [`Error::Refused`], with `ENFILE` if the map is full, [`Error::Invalid`] if an element is not of the map's
    /// types, [`Error::Busy`] if packets were quicker all the time; else as [`Self::apply`] and
    /// [`Self::each_dynamic`]. Some of the elements may have been put then.
    pub fn put_dynamic(&mut self, map: &str, elements: &[DynamicElement], put: Put) -> Result<usize, Error> {
        let spec = self.specification(map)?;
        let mut count = 0;
        let mut look = put == Put::Replace || elements.len() <= FEW;
        for chunk in elements.chunks(CHUNK) {
            let mut changes = Vec::with_capacity(chunk.len());
            for element in chunk {
                let change = Change::put(&spec, element).map_err(|reason| invalid(map, reason))?;
                let there = look && read::element(&mut self.socket, map, &spec, &element.key)?.is_some();
                match (there, put) {
                    (false, _) => changes.push(change),
                    (true, Put::Replace) => changes.push(Change { step: Step::Replace, ..change }),
                    (true, Put::OnlyMissing) => {}
                }
            }
            let made = self.settle(map, changes, put)?;
            count += made;
            match put {
                Put::Replace => self.uncover(map, &spec, chunk)?,
                // Neighbours are mostly alike.
                Put::OnlyMissing => look = made < chunk.len(),
            }
        }
        Ok(count)
    }

    /// Deletes elements of a map; those that are not there are no error. Tells how many it deleted.
    ///
    /// # Errors
    /// As [`Self::put_dynamic`].
    pub fn delete_dynamic(&mut self, map: &str, keys: &[Key]) -> Result<usize, Error> {
        let doomed: Vec<Doomed<'_>> = keys.iter().map(|key| Doomed { key, data: None }).collect();
        self.delete(map, &doomed)
    }

    /// As [`Self::delete_dynamic`], but spares those whose data are no longer these: packets made them anew. The
    /// kernel deletes by key alone, so each is looked at just before.
    ///
    /// # Errors
    /// As [`Self::put_dynamic`].
    pub fn delete_unchanged(&mut self, map: &str, elements: &[DynamicElement]) -> Result<usize, Error> {
        let doomed = elements.iter().map(|it| Doomed { key: &it.key, data: Some(&it.data) });
        self.delete(map, &doomed.collect::<Vec<_>>())
    }

    fn delete(&mut self, map: &str, doomed: &[Doomed<'_>]) -> Result<usize, Error> {
        let spec = self.specification(map)?;
        let mut count = 0;
        let mut look = doomed.len() <= FEW;
        for chunk in doomed.chunks(CHUNK) {
            let mut deletions = self.deletions(map, &spec, chunk, look)?;
            let mut made = self.settle(map, deletions, Put::Replace)?;
            count += made;
            look = made < chunk.len();
            for _ in 1..DUPLICATES {
                deletions = self.deletions(map, &spec, chunk, true)?;
                made = self.settle(map, deletions, Put::Replace)?;
                if made == 0 {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Deletions of these; if `look`, of those that are there.
    fn deletions(
        &mut self,
        map: &str,
        spec: &MapSpec,
        doomed: &[Doomed<'_>],
        look: bool,
    ) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for Doomed { key, data } in doomed {
            let change = Change::delete(spec, key).map_err(|reason| invalid(map, reason))?;
            let there = if look || data.is_some() {
                let there = read::element(&mut self.socket, map, spec, key)?;
                there.is_some_and(|there| data.is_none_or(|data| living(spec, there).data == data))
            } else {
                true
            };
            changes.extend(there.then_some(change));
        }
        Ok(changes)
    }

    /// Sends changes until they fit what is there. How many were made; the others proved needless.
    fn settle(&mut self, map: &str, mut changes: Vec<Change>, put: Put) -> Result<usize, Error> {
        if let Some(made) = self.settle_within(CHUNK_ATTEMPTS, map, &mut changes, put)? {
            return Ok(made);
        }
        let mut made = 0;
        for change in changes {
            let busy = Error::Busy { attempts: ATTEMPTS };
            made += self.settle_within(ATTEMPTS, map, &mut vec![change], put)?.ok_or(busy)?;
        }
        Ok(made)
    }

    fn settle_within(
        &mut self,
        attempts: u32,
        map: &str,
        changes: &mut Vec<Change>,
        put: Put,
    ) -> Result<Option<usize>, Error> {
        for _ in 0..attempts {
            for change in changes.iter_mut().filter(|change| change.step == Step::ReplaceApart) {
                let way = [Change { step: Step::Delete, ..change.clone() }];
                for _ in 0..DUPLICATES {
                    if !self.attempt(map, &way)?.is_empty() {
                        break;
                    }
                }
                change.step = Step::Add;
            }
            let refusals = if changes.is_empty() { Vec::new() } else { self.attempt(map, changes)? };
            if refusals.is_empty() {
                return Ok(Some(changes.len()));
            }
            for (owner, errno) in refusals {
                let Some(change) = changes.get_mut(owner) else { continue };
                change.step = change.step.after(errno, put).ok_or_else(|| refused(map, errno))?;
            }
            changes.retain(|change| change.step != Step::None);
        }
        Ok(None)
    }

    /// Puts again what packets' elements lie before.
    fn uncover(&mut self, map: &str, spec: &MapSpec, elements: &[DynamicElement]) -> Result<(), Error> {
        for element in elements {
            let mut attempts = 0;
            while !self.shows(map, spec, element)? {
                attempts += 1;
                if attempts > ATTEMPTS {
                    return Err(Error::Busy { attempts });
                }
                let change = Change::put(spec, element).map_err(|reason| invalid(map, reason))?;
                self.settle(map, vec![Change { step: Step::ReplaceApart, ..change }], Put::Replace)?;
            }
        }
        Ok(())
    }

    /// True unless another element has the key.
    fn shows(&mut self, map: &str, spec: &MapSpec, element: &DynamicElement) -> Result<bool, Error> {
        let there = read::element(&mut self.socket, map, spec, &element.key)?;
        Ok(there.map(|there| living(spec, there)).is_none_or(|there| {
            there.data == element.data && there.timeout.is_some() == element.timeout.is_some()
        }))
    }

    /// Sends changes in one transaction. Those that it failed for, with the kernel's error numbers; if there are
    /// none, all were made.
    fn attempt(&mut self, map: &str, changes: &[Change]) -> Result<Vec<(usize, i32)>, Error> {
        let mut items = Vec::with_capacity(2 * changes.len());
        for (owner, change) in changes.iter().enumerate() {
            items.extend(change.step.deletes().then_some((owner, change.key.as_slice(), false)));
            items.extend(change.step.adds().then_some((owner, change.item.as_slice(), true)));
        }
        let mut batch = Batch::of_items(map, &items);
        self.send(&mut batch)?;
        let mut refusals = Vec::new();
        let mut lost = None;
        loop {
            let messages = match self.socket.receive() {
                Ok(messages) => messages,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    lost = Some(error);
                    continue;
                }
                // What was refused without our knowing is refused again.
                Err(_) if !refusals.is_empty() => return Ok(refusals),
                Err(error) => return Err(Error::Unknown { error: lost.unwrap_or(error) }),
            };
            for (message, errno) in batch.answers(messages) {
                match (errno, batch.owner(message)) {
                    (0, _) if !batch.is_last(message) => {}
                    (0, _) => match lost {
                        Some(error) if refusals.is_empty() => return Err(Error::Unknown { error }),
                        _ => return Ok(refusals),
                    },
                    (errno, Some(owner)) => refusals.push((owner, errno)),
                    (errno, None) => return Err(Error::refused(None, errno)),
                }
            }
        }
    }
}

/// An element that has to go: only if it has these data, if they are given.
struct Doomed<'a> {
    key: &'a Key,
    data: Option<&'a [Datum]>,
}

/// What is done about one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing: it is as it shall be.
    None,
    Add,
    Replace,
    /// As [`Self::Replace`], but all that is there goes before: out of a full map, or several of one key.
    ReplaceApart,
    Delete,
}

impl Step {
    /// What to do instead after the kernel refused; `None` if that says that nothing helps.
    fn after(self, errno: i32, put: Put) -> Option<Self> {
        match (self, errno) {
            (Self::Delete, libc::ENOENT) => Some(Self::None),
            (Self::Replace, libc::ENOENT) => Some(Self::Add),
            (Self::Replace, libc::ENFILE | libc::EEXIST) => Some(Self::ReplaceApart),
            (Self::Add, libc::EEXIST) if put == Put::OnlyMissing => Some(Self::None),
            (Self::Add, libc::EEXIST) => Some(Self::Replace),
            _ => None,
        }
    }

    fn deletes(self) -> bool {
        matches!(self, Self::Replace | Self::Delete)
    }

    fn adds(self) -> bool {
        matches!(self, Self::Add | Self::Replace)
    }
}

/// A change of one element, in the kernel's layout.
#[derive(Debug, Clone)]
struct Change {
    /// An item of a list: the key alone, to delete.
    key: Vec<u8>,
    /// An item of a list: the element, to add.
    item: Vec<u8>,
    step: Step,
}

impl Change {
    fn put(spec: &MapSpec, element: &DynamicElement) -> Result<Self, String> {
        let data = (spec.data != MapData::None).then(|| ElementData::Values(element.data.clone()));
        let (timeout, expires) = life(element);
        let mut item = Writer::default();
        let contents = Element { data, comment: None };
        element::write_living(&mut item, spec, &element.key, &contents, timeout, expires)?;
        Ok(Self { item: item.written().to_vec(), step: Step::Add, ..Self::delete(spec, &element.key)? })
    }

    fn delete(spec: &MapSpec, key: &Key) -> Result<Self, String> {
        let mut item = Writer::default();
        element::write_key(&mut item, spec, key)?;
        Ok(Self { key: item.written().to_vec(), item: Vec::new(), step: Step::Delete })
    }
}

/// Timeout and what is left of it in milliseconds: 0 and 0 for ever, else from 1 on, and never more left than there
/// was, which the kernel refuses.
fn life(element: &DynamicElement) -> (u64, u64) {
    let milliseconds =
        |time: Duration| u64::try_from(time.as_millis()).unwrap_or(LIFE_MAX).clamp(1, LIFE_MAX);
    element.timeout.map(milliseconds).map_or((0, 0), |timeout| {
        (timeout, element.expires.map_or(timeout, |left| milliseconds(left).min(timeout)))
    })
}

/// The kernel leaves out a timeout that is the map's default, and both times of an element that stays.
fn living(spec: &MapSpec, read: ReadElement) -> DynamicElement {
    let expires = read.expires.map(Duration::from_millis);
    let timeout = read.timeout.map(Duration::from_millis).or(spec.default_timeout);
    DynamicElement {
        key: read.key,
        data: match read.element.data {
            Some(ElementData::Values(data)) => data,
            Some(ElementData::Verdict(_)) | None => Vec::new(),
        },
        timeout: expires.and(timeout),
        expires,
    }
}

fn invalid(map: &str, reason: String) -> Error {
    Error::Invalid { operation: format!("changing elements of the map {map}"), reason }
}

fn refused(map: &str, errno: i32) -> Error {
    let hint = match errno {
        libc::ENFILE => "; the map is full",
        libc::ENOENT => "; the map is not there",
        _ => "",
    };
    Error::Refused {
        operation: format!("changing elements of the map {map}"),
        index: None,
        error: io::Error::from_raw_os_error(errno),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_life_is_longer_or_shorter_than_the_kernel_takes(
            timeout in any::<Duration>(),
            expires in any::<Option<Duration>>(),
        ) {
            let element =
                DynamicElement { key: Key(Vec::new()), data: Vec::new(), timeout: Some(timeout), expires };
            let (timeout, expires) = life(&element);
            prop_assert!((1..=LIFE_MAX).contains(&timeout) && (1..=timeout).contains(&expires));
            prop_assert_eq!(life(&DynamicElement { timeout: None, ..element }), (0, 0));
        }
    }

    #[test]
    fn what_does_not_fit_is_done_otherwise() {
        let after = |step: Step, errno| step.after(errno, Put::Replace);
        assert_eq!(after(Step::Delete, libc::ENOENT), Some(Step::None));
        assert_eq!(after(Step::Replace, libc::ENOENT), Some(Step::Add));
        assert_eq!(after(Step::Add, libc::EEXIST), Some(Step::Replace));
        assert_eq!(after(Step::Replace, libc::ENFILE), Some(Step::ReplaceApart));
        assert_eq!(after(Step::Replace, libc::EEXIST), Some(Step::ReplaceApart));
        assert_eq!(Step::Add.after(libc::EEXIST, Put::OnlyMissing), Some(Step::None));
        for hopeless in [libc::ENFILE, libc::ENOENT, libc::EINVAL, libc::EPERM] {
            assert_eq!(after(Step::Add, hopeless), None);
        }
    }
}

//! A transaction as one netlink batch.

use super::attribute::{Messages, Writer, put};
use super::constants::{element as attr, rule as rule_attr, set as set_attr, table as table_attr};
use super::{Error, element, lower, set, userdata};
use crate::ir::{BaseChain, ChainKind, Element, Hook, Key, MapSpec, Rule, TABLE};
use crate::observed::Fingerprint;
use crate::transaction::{Operation, Transaction};
use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::{Chain, ChainType, MsgType, NlMsg, ProtoFamily, Table};
use std::ffi::{CString, c_int};

/// A message of elements is closed beyond this: its list must stay below 64 KiB.
const ELEMENTS_BYTES: usize = 48 * 1024;
const FLAGS_AT: usize = 6;
const SEQUENCE_AT: usize = 8;
const ACK: u16 = bits(libc::NLM_F_ACK);
const CREATE: c_int = libc::NLM_F_CREATE;
const EXCLUSIVE: c_int = libc::NLM_F_EXCL;
const APPEND: c_int = libc::NLM_F_APPEND;

/// The messages of a transaction, and which operation each belongs to.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each message begins. The first begins the batch; the last ends it if it commits.
    starts: Vec<usize>,
    /// For each message the operation's place; `None` at the ends.
    owners: Vec<Option<usize>>,
    /// False if the end is left out.
    commits: bool,
    /// Sequence number of the first message.
    first: u32,
    /// Where libnftnl writes a message.
    scratch: Vec<u64>,
}

impl Batch {
    /// Lowers a transaction.
    pub(super) fn new(transaction: &Transaction) -> Result<Self, Error> {
        let mut batch = Self::rehearsal(transaction)?;
        batch.end();
        Ok(batch)
    }

    /// Lowers a transaction, but leaves out the end: the kernel checks all of it and takes it back.
    pub(super) fn rehearsal(transaction: &Transaction) -> Result<Self, Error> {
        let mut batch = Self::begin();
        batch.scratch = vec![0; nftnl::nft_nlmsg_maxsize().div_ceil(8) as usize];
        for (index, operation) in transaction.operations.iter().enumerate() {
            batch.operation(index, operation).map_err(|reason| Error::invalid(operation, reason))?;
        }
        batch.ask_for_acknowledgement();
        Ok(batch)
    }

    /// Changes of single elements, a message each, so that every refusal names its own. Each has an owner's number,
    /// an item of a list, and whether it is added.
    pub(super) fn of_items(map: &str, items: &[(usize, &[u8], bool)]) -> Self {
        let mut batch = Self::begin();
        for &(owner, item, add) in items {
            let (kind, flags) = if add {
                (libc::NFT_MSG_NEWSETELEM, CREATE | EXCLUSIVE)
            } else {
                (libc::NFT_MSG_DELSETELEM, 0)
            };
            batch.list(Some(owner), kind, flags, map, item);
        }
        batch.ask_for_acknowledgement();
        batch.end();
        batch
    }

    /// True if there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.iter().all(Option::is_none)
    }

    /// How many messages there are, and so sequence numbers.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// The datagram, numbered from `first` on.
    pub(super) fn numbered(&mut self, first: u32) -> &[u8] {
        self.first = first;
        let mut sequence = first;
        for start in &self.starts {
            put(&mut self.bytes, start + SEQUENCE_AT, &sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
        &self.bytes
    }

    /// What the kernel says of the batch's messages: place and error number, or 0.
    pub(super) fn answers(&self, messages: Messages<'_>) -> impl Iterator<Item = (usize, i32)> {
        let acknowledgements = messages.filter(|message| i32::from(message.kind) == libc::NLMSG_ERROR);
        let answers = acknowledgements
            .map(|message| (message.sequence.wrapping_sub(self.first) as usize, message.errno()));
        answers.filter(|(message, _)| *message < self.starts.len())
    }

    /// True for the message whose acknowledgement tells that all was applied, or could be.
    pub(super) fn is_last(&self, message: usize) -> bool {
        message + 1 + usize::from(self.commits) == self.starts.len()
    }

    /// The place of the operation that a message belongs to.
    pub(super) fn owner(&self, message: usize) -> Option<usize> {
        self.owners.get(message).copied().flatten()
    }

    fn begin() -> Self {
        let mut batch = Self {
            bytes: Vec::new(),
            starts: Vec::new(),
            owners: Vec::new(),
            commits: false,
            first: 0,
            scratch: Vec::new(),
        };
        batch.edge(libc::NFNL_MSG_BATCH_BEGIN);
        batch
    }

    /// Of the last message so far: kernels before 6.10 acknowledge no end.
    fn ask_for_acknowledgement(&mut self) {
        let last = self.starts.last().copied().unwrap_or_default();
        let flags = self.bytes.get(last + FLAGS_AT..).and_then(|flags| flags.first_chunk().copied());
        let flags = flags.map_or(0, u16::from_ne_bytes) | ACK;
        put(&mut self.bytes, last + FLAGS_AT, &flags.to_ne_bytes());
    }

    fn end(&mut self) {
        self.edge(libc::NFNL_MSG_BATCH_END);
        self.commits = true;
    }

    fn operation(&mut self, index: usize, operation: &Operation) -> Result<(), String> {
        let owner = Some(index);
        let table = Table::new(lower::name(TABLE)?, ProtoFamily::Inet);
        match operation {
            Operation::AddTable => {
                // No flags, said aloud: this wakes a dormant table.
                let mut tail = Writer::default();
                tail.u32(table_attr::FLAGS, 0);
                self.object(owner, &table, MsgType::Add, CREATE, tail.written());
            }
            Operation::DeleteTable => self.object(owner, &table, MsgType::Del, 0, &[]),
            Operation::AddChain { name, base } => {
                let mut chain = Chain::new(lower::name(name)?, &table);
                if let Some(base) = base {
                    hook(&mut chain, *base);
                }
                self.object(owner, &chain, MsgType::Add, CREATE | EXCLUSIVE, &[]);
            }
            Operation::DeleteChain { name } => {
                self.object(owner, &Chain::new(lower::name(name)?, &table), MsgType::Del, 0, &[]);
            }
            Operation::FlushChain { name } => {
                let chain = Chain::new(lower::name(name)?, &table);
                self.object(owner, &nftnl::Rule::new(&chain), MsgType::Del, 0, &[]);
            }
            Operation::AddRule { chain, rule } => self.rule(owner, &table, lower::name(chain)?, rule)?,
            Operation::AddMap { name, spec } => {
                let mut message = message(libc::NFT_MSG_NEWSET, CREATE | EXCLUSIVE);
                set::write(&mut message, name, spec, u32::try_from(index).unwrap_or(u32::MAX))?;
                self.push(owner, &message.finish(0));
            }
            Operation::DeleteMap { name } => {
                let mut message = message(libc::NFT_MSG_DELSET, 0);
                lower::name(name)?;
                message.text(set_attr::TABLE, TABLE).text(set_attr::NAME, name);
                self.push(owner, &message.finish(0));
            }
            Operation::AddElements { map, spec, elements } => {
                self.add_elements(owner, map, spec, elements)?
            }
            Operation::DeleteElements { map, spec, keys } => {
                self.elements(owner, libc::NFT_MSG_DELSETELEM, 0, map, keys, |out, key| {
                    element::write_key(out, spec, key)
                })?;
            }
        }
        Ok(())
    }

    fn rule(
        &mut self,
        owner: Option<usize>,
        table: &Table,
        chain: CString,
        rule: &Rule,
    ) -> Result<(), String> {
        let chain = Chain::new(chain, table);
        let mut object = nftnl::Rule::new(&chain);
        for expression in lower::rule(rule)? {
            object.add_expr(&expression);
        }
        let userdata = userdata::of_rule(rule.comment.as_deref(), Fingerprint::of(rule))?;
        let mut tail = Writer::default();
        tail.bytes(rule_attr::USERDATA, &userdata);
        self.object(owner, &object, MsgType::Add, CREATE | APPEND, tail.written());
        Ok(())
    }

    fn add_elements(
        &mut self,
        owner: Option<usize>,
        map: &str,
        spec: &MapSpec,
        elements: &[(Key, Element)],
    ) -> Result<(), String> {
        let flags = CREATE | EXCLUSIVE;
        self.elements(owner, libc::NFT_MSG_NEWSETELEM, flags, map, elements, |out, (key, data)| {
            element::write(out, spec, key, data)
        })
    }

    /// As few messages of elements as the length of an attribute allows.
    fn elements<T>(
        &mut self,
        owner: Option<usize>,
        kind: c_int,
        flags: c_int,
        map: &str,
        items: &[T],
        write: impl Fn(&mut Writer, &T) -> Result<(), String>,
    ) -> Result<(), String> {
        lower::name(map)?;
        let mut items = items.iter().peekable();
        while items.peek().is_some() {
            let mut list = Writer::default();
            while list.written().len() < ELEMENTS_BYTES
                && let Some(item) = items.next()
            {
                write(&mut list, item)?;
            }
            self.list(owner, kind, flags, map, list.written());
        }
        Ok(())
    }

    /// One message of elements.
    fn list(&mut self, owner: Option<usize>, kind: c_int, flags: c_int, map: &str, items: &[u8]) {
        let mut message = message(kind, flags);
        message.text(attr::LIST_TABLE, TABLE).text(attr::LIST_SET, map).nest(attr::LIST_ELEMENTS, |nest| {
            nest.append(items);
        });
        self.push(owner, &message.finish(0));
    }

    /// A message by libnftnl, with attributes behind it that libnftnl's safe side has no setter for.
    #[expect(unsafe_code, reason = "libnftnl writes to a pointer")]
    fn object(
        &mut self,
        owner: Option<usize>,
        object: &impl NlMsg,
        kind: MsgType,
        flags: c_int,
        tail: &[u8],
    ) {
        let start = self.bytes.len();
        // SAFETY: the buffer has the size that the trait asks for and is aligned for a header. The longest message
        // of ours, a rule of at most 128 expressions of below 500 bytes, fits it. It begins with its own length,
        // which libnftnl never makes longer than what it wrote.
        let message = unsafe {
            object.write(self.scratch.as_mut_ptr().cast(), 0, kind);
            let length = self.scratch.as_ptr().cast::<u32>().read() as usize;
            std::slice::from_raw_parts(self.scratch.as_ptr().cast::<u8>(), length)
        };
        // libnftnl's asks for an acknowledgement of each, more than the receive buffer holds.
        let flags = bits(flags | libc::NLM_F_REQUEST);
        self.starts.push(start);
        self.owners.push(owner);
        self.bytes.extend(message);
        self.bytes.extend(tail);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        put(&mut self.bytes, start, &length.to_ne_bytes());
        put(&mut self.bytes, start + FLAGS_AT, &flags.to_ne_bytes());
    }

    fn push(&mut self, owner: Option<usize>, message: &[u8]) {
        self.starts.push(self.bytes.len());
        self.owners.push(owner);
        self.bytes.extend(message);
    }

    /// Begins or ends the batch: the resource number of the `nfgenmsg` is the subsystem, in network order.
    fn edge(&mut self, kind: c_int) {
        let mut message = Writer::message(bits(kind), bits(libc::NLM_F_REQUEST), 0).finish(0);
        let resource = bits(libc::NFNL_SUBSYS_NFTABLES).to_be_bytes();
        put(&mut message, 18, &resource);
        self.push(None, &message);
    }
}

/// Begins a message of nf_tables for the family `inet`.
pub(super) fn message(kind: c_int, flags: c_int) -> Writer {
    let kind = bits(libc::NFNL_SUBSYS_NFTABLES) << 8 | bits(kind);
    let inet = libc::NFPROTO_INET.to_le_bytes()[0];
    Writer::message(kind, bits(flags | libc::NLM_F_REQUEST), inet)
}

fn hook(chain: &mut Chain<'_>, base: BaseChain) {
    chain.set_type(match base.kind {
        ChainKind::Nat => ChainType::Nat,
        ChainKind::Filter => ChainType::Filter,
    });
    let hook = match base.hook {
        Hook::Prerouting => nftnl::Hook::PreRouting,
        Hook::Input => nftnl::Hook::In,
        Hook::Forward => nftnl::Hook::Forward,
        Hook::Output => nftnl::Hook::Out,
        Hook::Postrouting => nftnl::Hook::PostRouting,
    };
    chain.set_hook(hook, base.priority);
    chain.set_policy(nftnl::Policy::Accept);
}

/// The kernel's 16-bit numbers, which libc gives as `int`.
const fn bits(value: c_int) -> u16 {
    let [low, high, ..] = value.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// As [`Batch::rehearsal`], with a rule at the end that holds nothing but an expression of this name.
#[cfg(test)]
pub(super) fn rehearsal_of_expression(
    transaction: &Transaction,
    chain: &str,
    expression: &str,
) -> Result<Batch, Error> {
    use super::constants::expression as expression_attr;
    const EXPRESSIONS: u16 = 4;
    let mut batch = Batch::rehearsal(transaction)?;
    let mut rule = message(libc::NFT_MSG_NEWRULE, CREATE | APPEND);
    rule.text(rule_attr::TABLE, TABLE).text(rule_attr::CHAIN, chain).nest(EXPRESSIONS, |list| {
        list.nest(attr::LIST_ITEM, |item| {
            item.text(expression_attr::NAME, expression);
        });
    });
    batch.push(Some(transaction.operations.len()), &rule.finish(0));
    batch.ask_for_acknowledgement();
    Ok(batch)
}

const _: () = assert!(sys::NFTNL_UDATA_COMMENT_MAXLEN as usize == userdata::COMMENT_MAX);

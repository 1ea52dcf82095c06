//! Lowers rules to the expressions that nft itself would emit, so that `nft list` reads them back.
//!
//! Values pass through the kernel's 4-byte registers: a key lies in them from the first on, each field rounded
//! up to whole registers. In family `inet` a field of the IPv4 or IPv6 header needs a `meta nfproto` match before
//! it, once a rule.

use super::datum::{Bytes, bytes_of};
use super::expression::Expression;
use crate::ir::{
    DataType, Datum, Dnat, Expression as Value, Family, MarkTarget, Match, NumgenMode, Rate, Reject, Rule,
    Selector, Statement, Synproxy, TcpFlags, Verdict,
};
use nftnl::nftnl_sys::{self as sys, libc};
use std::ffi::{CString, c_int};
use std::net::IpAddr;
use std::time::Duration;

/// `NFT_RULE_MAXEXPRS`
const EXPRESSIONS_MAX: usize = 128;
/// `NFT_REG32_COUNT`
const REGISTERS: u32 = 16;
/// `NFT_REG32_SIZE`
const REGISTER_SIZE: u32 = 4;
/// `NFT_HASH_JENKINS`
const HASH_JENKINS: u32 = 0;
/// `NFT_DYNSET_OP_DELETE`
const DYNSET_DELETE: u32 = 2;
/// `NF_SYNPROXY_OPT_*`
const SYNPROXY_MSS: u32 = 1 << 0;
const SYNPROXY_WSCALE: u32 = 1 << 1;
const SYNPROXY_SACK_PERM: u32 = 1 << 2;
const SYNPROXY_TIMESTAMP: u32 = 1 << 3;
/// `NFT_EXTHDR_OP_TCPOPT`
const EXTHDR_TCPOPT: u32 = 1;
/// `TCPOPT_TIMESTAMP`
const TCPOPT_TIMESTAMP: u8 = 8;
/// `TCP_MAX_WSCALE`
const WSCALE_MAX: u8 = 14;
const TCP: u8 = 6;
const IFNAMSIZ: usize = 16;

/// The expressions of a rule; an error says in words what the kernel has no way to do.
pub(super) fn rule(rule: &Rule) -> Result<Vec<Expression>, String> {
    let mut lowering = Lowering::default();
    for statement in &rule.statements {
        lowering.statement(statement)?;
    }
    if lowering.out.len() > EXPRESSIONS_MAX {
        return Err(format!("the rule needs more than the kernel's {EXPRESSIONS_MAX} expressions"));
    }
    Ok(lowering.out)
}

/// Fails for what can't be a name: too long, empty, or with a zero byte.
pub(super) fn name(text: &str) -> Result<CString, String> {
    // `NFT_NAME_MAXLEN` with the terminator.
    if text.is_empty() || text.len() > 255 {
        return Err(format!("the name `{text}` does not have 1 to 255 bytes"));
    }
    CString::new(text).map_err(|_| "a name holds a zero byte".to_owned())
}

/// Expressions so far, and the protocols that the rule has already checked.
#[derive(Default)]
struct Lowering {
    out: Vec<Expression>,
    checked: Vec<Family>,
    tcp_checked: bool,
}

impl Lowering {
    fn statement(&mut self, statement: &Statement) -> Result<(), String> {
        match statement {
            Statement::Match(condition) => self.condition(condition)?,
            Statement::Vmap { key, map } => {
                self.key(key)?;
                self.push(lookup(map, constant(libc::NFT_REG_VERDICT))?);
            }
            Statement::SetMark { target, value } => {
                self.value(value)?;
                self.push(match target {
                    MarkTarget::Meta => Expression::new(c"meta")
                        .number(sys::NFTNL_EXPR_META_KEY, constant(libc::NFT_META_MARK))
                        .number(sys::NFTNL_EXPR_META_SREG, register(0)),
                    MarkTarget::Ct => Expression::new(c"ct")
                        .number(sys::NFTNL_EXPR_CT_KEY, constant(libc::NFT_CT_MARK))
                        .number(sys::NFTNL_EXPR_CT_SREG, register(0)),
                });
            }
            Statement::Update { map, key, timeout, data } => {
                let update = self.dynset(constant(libc::NFT_DYNSET_OP_UPDATE), map, key, *timeout, *data)?;
                self.push(update);
            }
            Statement::Delete { map, key, data } => {
                let delete = self.dynset(DYNSET_DELETE, map, key, None, *data)?;
                self.push(delete);
            }
            Statement::Limit { map, key, timeout, rate } => {
                let limit = limit(*rate)?;
                let update = self.dynset(constant(libc::NFT_DYNSET_OP_UPDATE), map, key, *timeout, None)?;
                self.push(update.nested(sys::NFTNL_EXPR_DYNSET_EXPR, limit));
            }
            Statement::Dnat(dnat) => self.dnat(dnat)?,
            Statement::Snat(address) => self.snat(*address),
            Statement::Masquerade => self.push(Expression::new(c"masq")),
            Statement::Reject(reject) => {
                let (kind, code) = match reject {
                    Reject::TcpReset => (libc::NFT_REJECT_TCP_RST, 0),
                    Reject::PortUnreachable => {
                        (libc::NFT_REJECT_ICMPX_UNREACH, libc::NFT_REJECT_ICMPX_PORT_UNREACH)
                    }
                };
                self.push(
                    Expression::new(c"reject")
                        .number(sys::NFTNL_EXPR_REJECT_TYPE, constant(kind))
                        .number(sys::NFTNL_EXPR_REJECT_CODE, constant(code)),
                );
            }
            Statement::Counter => self.push(Expression::new(c"counter")),
            Statement::SetEvents(events) => {
                self.immediate(&u32::from(events.bits()).to_ne_bytes());
                self.push(
                    Expression::new(c"ct")
                        .number(sys::NFTNL_EXPR_CT_KEY, constant(libc::NFT_CT_EVENTMASK))
                        .number(sys::NFTNL_EXPR_CT_SREG, register(0)),
                );
            }
            Statement::Synproxy(proxy) => self.push(synproxy(*proxy)?),
            Statement::StripTimestamp => self.push(
                Expression::new(c"exthdr")
                    // A byte in libnftnl.
                    .bytes(sys::NFTNL_EXPR_EXTHDR_TYPE, &[TCPOPT_TIMESTAMP])
                    .number(sys::NFTNL_EXPR_EXTHDR_OP, EXTHDR_TCPOPT),
            ),
            Statement::Verdict(verdict) => self.verdict(verdict)?,
        }
        Ok(())
    }

    fn condition(&mut self, condition: &Match) -> Result<(), String> {
        match condition {
            Match::Value { selector, negate, value } => {
                if !selector_type(*selector).fits(*value) {
                    return Err(format!("{value:?} can't be compared with {selector:?}"));
                }
                self.field(*selector)?;
                self.compare(*negate, &bytes_of(*value));
                if !negate && *selector == Selector::Nfproto {
                    self.checked.extend(
                        [Family::V4, Family::V6]
                            .into_iter()
                            .filter(|family| *value == Datum::Proto(nfproto(*family))),
                    );
                }
                self.tcp_checked |= !negate && *selector == Selector::L4Proto && *value == Datum::Proto(TCP);
                Ok(())
            }
            Match::Prefix { selector, negate, address, length } => {
                self.prefix(*selector, *negate, *address, *length)
            }
            Match::InputInterface { negate, name } => self.interface(libc::NFT_META_IIFNAME, *negate, name),
            Match::OutputInterface { negate, name } => self.interface(libc::NFT_META_OIFNAME, *negate, name),
            Match::CtStatusDnat => {
                // `IPS_DST_NAT`
                let mask = (1_u32 << 5).to_ne_bytes();
                self.push(
                    Expression::new(c"ct")
                        .number(sys::NFTNL_EXPR_CT_KEY, constant(libc::NFT_CT_STATUS))
                        .number(sys::NFTNL_EXPR_CT_DREG, register(0)),
                );
                self.mask(0, &mask);
                self.compare(true, &[0; 4]);
                Ok(())
            }
            Match::CtState(states) if states.is_empty() => Err("a packet is always in some state".to_owned()),
            Match::CtState(states) => {
                self.push(
                    Expression::new(c"ct")
                        .number(sys::NFTNL_EXPR_CT_KEY, constant(libc::NFT_CT_STATE))
                        .number(sys::NFTNL_EXPR_CT_DREG, register(0)),
                );
                self.mask(0, &u32::from(states.bits()).to_ne_bytes());
                self.compare(true, &[0; 4]);
                Ok(())
            }
            Match::TcpFlags { mask, value, negate } => self.tcp_flags(*mask, *value, *negate),
        }
    }

    fn tcp_flags(&mut self, mask: TcpFlags, value: TcpFlags, negate: bool) -> Result<(), String> {
        if mask.is_empty() || !mask.contains(value) {
            return Err(format!("the tcp flags {value:?} are not among {mask:?}"));
        }
        if !self.tcp_checked {
            self.push(meta(libc::NFT_META_L4PROTO, 0));
            self.compare(false, &[TCP]);
            self.tcp_checked = true;
        }
        self.push(payload(libc::NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, 0));
        if mask != TcpFlags::ALL {
            self.mask(0, &[mask.bits()]);
        }
        self.compare(negate, &[value.bits()]);
        Ok(())
    }

    /// Compares only the bytes that the prefix fills, as nft does where it fills whole ones.
    fn prefix(&mut self, selector: Selector, negate: bool, address: Datum, length: u8) -> Result<(), String> {
        let address_bytes = bytes_of(address);
        if !selector_type(selector).fits(address) || usize::from(length) > address_bytes.len() * 8 {
            return Err(format!("{address:?}/{length} can't be compared with {selector:?}"));
        }
        let Some((family, offset)) = address_field(selector) else {
            return Err(format!("{selector:?} is no address"));
        };
        self.check(family);
        let whole = usize::from(length / 8);
        match address_bytes.get(..whole) {
            Some(leading) if length.is_multiple_of(8) && whole > 0 => {
                self.push(payload(libc::NFT_PAYLOAD_NETWORK_HEADER, offset, length_of(leading), 0));
                self.compare(negate, leading);
            }
            _ => {
                self.push(payload(libc::NFT_PAYLOAD_NETWORK_HEADER, offset, length_of(&address_bytes), 0));
                self.mask(0, &prefix_mask(address_bytes.len(), length));
                self.compare(negate, &address_bytes);
            }
        }
        Ok(())
    }

    fn interface(&mut self, key: c_int, negate: bool, name: &str) -> Result<(), String> {
        if name.is_empty() || name.len() >= IFNAMSIZ || name.bytes().any(|byte| byte == 0) {
            return Err(format!("`{name}` is no interface name"));
        }
        let mut padded = name.as_bytes().to_vec();
        padded.resize(IFNAMSIZ, 0);
        self.push(meta(key, 0));
        self.compare(negate, &padded);
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Value(datum @ Datum::Mark(_)) => self.immediate(&bytes_of(*datum)),
            Value::Value(datum) => return Err(format!("{datum:?} is no mark")),
            Value::Field(selector) => self.field(*selector)?,
            Value::Map { key, map } => {
                self.key(key)?;
                self.push(lookup(map, register(0))?);
            }
            Value::Numgen(numgen) => {
                let mode = match numgen.mode {
                    NumgenMode::Increment => libc::NFT_NG_INCREMENTAL,
                    NumgenMode::Random => libc::NFT_NG_RANDOM,
                };
                if numgen.modulus == 0 || numgen.offset.checked_add(numgen.modulus).is_none() {
                    return Err("numgen's modulus is 0, or exceeds 32 bits with its offset".to_owned());
                }
                self.push(
                    Expression::new(c"numgen")
                        .number(sys::NFTNL_EXPR_NG_DREG, register(0))
                        .number(sys::NFTNL_EXPR_NG_TYPE, constant(mode))
                        .number(sys::NFTNL_EXPR_NG_MODULUS, numgen.modulus)
                        .number(sys::NFTNL_EXPR_NG_OFFSET, numgen.offset),
                );
            }
            Value::Jhash(jhash) => {
                if jhash.modulus == 0 || jhash.offset.checked_add(jhash.modulus).is_none() {
                    return Err("jhash's modulus is 0, or exceeds 32 bits with its offset".to_owned());
                }
                let registers = self.key(&jhash.key)?;
                self.push(
                    Expression::new(c"hash")
                        .number(sys::NFTNL_EXPR_HASH_SREG, register(0))
                        .number(sys::NFTNL_EXPR_HASH_DREG, register(0))
                        .number(sys::NFTNL_EXPR_HASH_LEN, registers * REGISTER_SIZE)
                        .number(sys::NFTNL_EXPR_HASH_MODULUS, jhash.modulus)
                        .number(sys::NFTNL_EXPR_HASH_SEED, jhash.seed)
                        .number(sys::NFTNL_EXPR_HASH_OFFSET, jhash.offset)
                        .number(sys::NFTNL_EXPR_HASH_TYPE, HASH_JENKINS),
                );
            }
        }
        Ok(())
    }

    fn dynset(
        &mut self,
        operation: u32,
        map: &str,
        key: &[Selector],
        timeout: Option<Duration>,
        data: Option<Selector>,
    ) -> Result<Expression, String> {
        data.into_iter().for_each(|data| self.check_field(data));
        let end = self.key(key)?;
        let mut expression = Expression::new(c"dynset")
            .number(sys::NFTNL_EXPR_DYNSET_SREG_KEY, register(0))
            .number(sys::NFTNL_EXPR_DYNSET_OP, operation)
            .text(sys::NFTNL_EXPR_DYNSET_SET_NAME, name(map)?);
        if let Some(data) = data {
            // nft takes a whole 16-byte register behind the key.
            let place = end.next_multiple_of(4);
            self.load(data, place)?;
            expression = expression.number(sys::NFTNL_EXPR_DYNSET_SREG_DATA, register(place));
        }
        if let Some(timeout) = timeout {
            let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            expression = expression.long(sys::NFTNL_EXPR_DYNSET_TIMEOUT, milliseconds);
        }
        Ok(expression)
    }

    fn dnat(&mut self, dnat: &Dnat) -> Result<(), String> {
        self.key(&dnat.key)?;
        self.push(lookup(&dnat.map, register(0))?);
        let mut expression = Expression::new(c"nat")
            .number(sys::NFTNL_EXPR_NAT_TYPE, constant(libc::NFT_NAT_DNAT))
            .number(sys::NFTNL_EXPR_NAT_FAMILY, u32::from(nfproto(dnat.family)))
            .number(sys::NFTNL_EXPR_NAT_REG_ADDR_MIN, register(0));
        if dnat.port {
            let address = match dnat.family {
                Family::V4 => DataType::Ipv4Addr,
                Family::V6 => DataType::Ipv6Addr,
            };
            expression = expression.number(sys::NFTNL_EXPR_NAT_REG_PROTO_MIN, register(address.registers()));
        }
        self.push(expression);
        Ok(())
    }

    fn snat(&mut self, address: IpAddr) {
        let (family, bytes) = match address {
            IpAddr::V4(address) => (Family::V4, address.octets().to_vec()),
            IpAddr::V6(address) => (Family::V6, address.octets().to_vec()),
        };
        self.immediate(&bytes);
        self.push(
            Expression::new(c"nat")
                .number(sys::NFTNL_EXPR_NAT_TYPE, constant(libc::NFT_NAT_SNAT))
                .number(sys::NFTNL_EXPR_NAT_FAMILY, u32::from(nfproto(family)))
                .number(sys::NFTNL_EXPR_NAT_REG_ADDR_MIN, register(0)),
        );
    }

    fn verdict(&mut self, verdict: &Verdict) -> Result<(), String> {
        let (code, chain) = verdict_code(verdict);
        let mut expression = Expression::new(c"immediate")
            .number(sys::NFTNL_EXPR_IMM_DREG, constant(libc::NFT_REG_VERDICT))
            .number(sys::NFTNL_EXPR_IMM_VERDICT, constant(code));
        if let Some(chain) = chain {
            expression = expression.text(sys::NFTNL_EXPR_IMM_CHAIN, name(chain)?);
        }
        self.push(expression);
        Ok(())
    }

    /// Loads one field into the first register.
    fn field(&mut self, selector: Selector) -> Result<(), String> {
        self.key(&[selector]).map(drop)
    }

    /// Loads fields one behind the other, and tells the first free register.
    fn key(&mut self, key: &[Selector]) -> Result<u32, String> {
        if key.is_empty() {
            return Err("a key without fields".to_owned());
        }
        // Before the loads: the check passes through the first register too.
        key.iter().for_each(|selector| self.check_field(*selector));
        let mut place = 0;
        for selector in key {
            self.load(*selector, place)?;
            place += selector_type(*selector).registers();
        }
        Ok(place)
    }

    fn load(&mut self, selector: Selector, place: u32) -> Result<(), String> {
        let kind = selector_type(selector);
        if place + kind.registers() > REGISTERS {
            return Err("a key is longer than the kernel's 64 bytes of registers".to_owned());
        }
        match selector {
            Selector::Nfproto => self.push(meta(libc::NFT_META_NFPROTO, place)),
            Selector::L4Proto => self.push(meta(libc::NFT_META_L4PROTO, place)),
            Selector::MetaMark => self.push(meta(libc::NFT_META_MARK, place)),
            Selector::CtMark => self.push(
                Expression::new(c"ct")
                    .number(sys::NFTNL_EXPR_CT_KEY, constant(libc::NFT_CT_MARK))
                    .number(sys::NFTNL_EXPR_CT_DREG, register(place)),
            ),
            Selector::ThSport => self.push(payload(libc::NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, place)),
            Selector::ThDport => self.push(payload(libc::NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, place)),
            Selector::Ip4Saddr { .. }
            | Selector::Ip4Daddr
            | Selector::Ip6Saddr { .. }
            | Selector::Ip6Daddr => {
                let offset = address_field(selector).map_or(0, |(_, offset)| offset);
                let length = kind.length();
                self.push(payload(libc::NFT_PAYLOAD_NETWORK_HEADER, offset, length, place));
                if let Selector::Ip4Saddr { prefix } | Selector::Ip6Saddr { prefix } = selector {
                    let bits = length * 8;
                    if u32::from(prefix) > bits {
                        return Err(format!("a prefix of {prefix} bits where an address has {bits}"));
                    }
                    if u32::from(prefix) < bits {
                        self.mask(place, &prefix_mask(kind.size(), prefix));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_field(&mut self, selector: Selector) {
        if let Some((family, _)) = address_field(selector) {
            self.check(family);
        }
    }

    fn check(&mut self, family: Family) {
        if !self.checked.contains(&family) {
            self.push(meta(libc::NFT_META_NFPROTO, 0));
            self.compare(false, &[nfproto(family)]);
            self.checked.push(family);
        }
    }

    /// Puts a constant into the first registers.
    fn immediate(&mut self, value: &[u8]) {
        self.push(
            Expression::new(c"immediate")
                .number(sys::NFTNL_EXPR_IMM_DREG, register(0))
                .bytes(sys::NFTNL_EXPR_IMM_DATA, value),
        );
    }

    fn compare(&mut self, negate: bool, value: &[u8]) {
        let operator = if negate { libc::NFT_CMP_NEQ } else { libc::NFT_CMP_EQ };
        self.push(
            Expression::new(c"cmp")
                .number(sys::NFTNL_EXPR_CMP_SREG, register(0))
                .number(sys::NFTNL_EXPR_CMP_OP, constant(operator))
                .bytes(sys::NFTNL_EXPR_CMP_DATA, value),
        );
    }

    fn mask(&mut self, place: u32, mask: &[u8]) {
        self.push(
            Expression::new(c"bitwise")
                .number(sys::NFTNL_EXPR_BITWISE_SREG, register(place))
                .number(sys::NFTNL_EXPR_BITWISE_DREG, register(place))
                .number(sys::NFTNL_EXPR_BITWISE_LEN, length_of(mask))
                .bytes(sys::NFTNL_EXPR_BITWISE_MASK, mask)
                .bytes(sys::NFTNL_EXPR_BITWISE_XOR, &[0; 16][..mask.len().min(16)]),
        );
    }

    fn push(&mut self, expression: Expression) {
        self.out.push(expression);
    }
}

/// The kernel's number of a verdict, and the chain it names.
pub(super) fn verdict_code(verdict: &Verdict) -> (c_int, Option<&str>) {
    match verdict {
        Verdict::Accept => (libc::NF_ACCEPT, None),
        Verdict::Drop => (libc::NF_DROP, None),
        Verdict::Jump(chain) => (libc::NFT_JUMP, Some(chain)),
        Verdict::Goto(chain) => (libc::NFT_GOTO, Some(chain)),
    }
}

/// Holds for packets that are over the limit.
fn limit(rate: Rate) -> Result<Expression, String> {
    if rate.nanoseconds().is_none() {
        return Err(format!("the kernel can't count {rate:?}"));
    }
    Ok(Expression::new(c"limit")
        .long(sys::NFTNL_EXPR_LIMIT_RATE, rate.count)
        .long(sys::NFTNL_EXPR_LIMIT_UNIT, rate.per.seconds())
        .number(sys::NFTNL_EXPR_LIMIT_BURST, rate.burst)
        .number(sys::NFTNL_EXPR_LIMIT_TYPE, constant(libc::NFT_LIMIT_PKTS))
        .number(sys::NFTNL_EXPR_LIMIT_FLAGS, constant(libc::NFT_LIMIT_F_INV)))
}

fn synproxy(synproxy: Synproxy) -> Result<Expression, String> {
    let Synproxy { mss, wscale, timestamp, sack_perm } = synproxy;
    if wscale > WSCALE_MAX {
        return Err(format!("tcp windows are scaled by at most {WSCALE_MAX} bits"));
    }
    let flags = [
        (true, SYNPROXY_MSS | SYNPROXY_WSCALE),
        (timestamp, SYNPROXY_TIMESTAMP),
        (sack_perm, SYNPROXY_SACK_PERM),
    ];
    let flags: u32 = flags.iter().filter_map(|(set, flag)| set.then_some(flag)).sum();
    // The first two are shorter than a number in libnftnl.
    Ok(Expression::new(c"synproxy")
        .bytes(sys::NFTNL_EXPR_SYNPROXY_MSS, &mss.to_ne_bytes())
        .bytes(sys::NFTNL_EXPR_SYNPROXY_WSCALE, &[wscale])
        .number(sys::NFTNL_EXPR_SYNPROXY_FLAGS, flags))
}

fn meta(key: c_int, place: u32) -> Expression {
    Expression::new(c"meta")
        .number(sys::NFTNL_EXPR_META_KEY, constant(key))
        .number(sys::NFTNL_EXPR_META_DREG, register(place))
}

fn payload(base: c_int, offset: u32, length: u32, place: u32) -> Expression {
    Expression::new(c"payload")
        .number(sys::NFTNL_EXPR_PAYLOAD_DREG, register(place))
        .number(sys::NFTNL_EXPR_PAYLOAD_BASE, constant(base))
        .number(sys::NFTNL_EXPR_PAYLOAD_OFFSET, offset)
        .number(sys::NFTNL_EXPR_PAYLOAD_LEN, length)
}

fn lookup(map: &str, destination: u32) -> Result<Expression, String> {
    Ok(Expression::new(c"lookup")
        .number(sys::NFTNL_EXPR_LOOKUP_SREG, register(0))
        .number(sys::NFTNL_EXPR_LOOKUP_DREG, destination)
        .text(sys::NFTNL_EXPR_LOOKUP_SET, name(map)?))
}

/// Family and offset of an address in its header.
fn address_field(selector: Selector) -> Option<(Family, u32)> {
    match selector {
        Selector::Ip4Saddr { .. } => Some((Family::V4, 12)),
        Selector::Ip4Daddr => Some((Family::V4, 16)),
        Selector::Ip6Saddr { .. } => Some((Family::V6, 8)),
        Selector::Ip6Daddr => Some((Family::V6, 24)),
        Selector::Nfproto
        | Selector::L4Proto
        | Selector::MetaMark
        | Selector::CtMark
        | Selector::ThSport
        | Selector::ThDport => None,
    }
}

fn selector_type(selector: Selector) -> DataType {
    match selector {
        Selector::Nfproto | Selector::L4Proto => DataType::InetProto,
        Selector::MetaMark | Selector::CtMark => DataType::Mark,
        Selector::Ip4Saddr { .. } | Selector::Ip4Daddr => DataType::Ipv4Addr,
        Selector::Ip6Saddr { .. } | Selector::Ip6Daddr => DataType::Ipv6Addr,
        Selector::ThSport | Selector::ThDport => DataType::InetService,
    }
}

fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// The first `length` bits of `size` bytes.
fn prefix_mask(size: usize, length: u8) -> Bytes {
    (0..size)
        .map(|index| {
            let bits = usize::from(length).saturating_sub(index * 8).min(8);
            u8::MAX.checked_shl(8 - u32::try_from(bits).unwrap_or(8)).unwrap_or(0)
        })
        .collect()
}

/// The 4-byte register at a place, counted from 0.
fn register(place: u32) -> u32 {
    constant(libc::NFT_REG32_00) + place
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// libc gives the kernel's unsigned constants as signed.
fn constant(value: c_int) -> u32 {
    value.cast_unsigned()
}

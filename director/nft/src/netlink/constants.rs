//! Attribute numbers of the kernel's interface that neither libc nor libnftnl name.

/// `NFTA_TABLE_*`
pub(super) mod table {
    pub(in crate::netlink) const NAME: u16 = 1;
    pub(in crate::netlink) const FLAGS: u16 = 2;
}

/// `NFTA_CHAIN_*`, `NFTA_HOOK_*`
pub(super) mod chain {
    pub(in crate::netlink) const TABLE: u16 = 1;
    pub(in crate::netlink) const NAME: u16 = 3;
    pub(in crate::netlink) const HOOK: u16 = 4;
    pub(in crate::netlink) const POLICY: u16 = 5;
    pub(in crate::netlink) const TYPE: u16 = 7;
    pub(in crate::netlink) const HOOK_NUMBER: u16 = 1;
    pub(in crate::netlink) const HOOK_PRIORITY: u16 = 2;
}

/// `NFTA_RULE_*`
pub(super) mod rule {
    pub(in crate::netlink) const TABLE: u16 = 1;
    pub(in crate::netlink) const CHAIN: u16 = 2;
    pub(in crate::netlink) const USERDATA: u16 = 7;
}

/// `NFTA_SET_*`, `NFTA_SET_DESC_*`
pub(super) mod set {
    pub(in crate::netlink) const TABLE: u16 = 1;
    pub(in crate::netlink) const NAME: u16 = 2;
    pub(in crate::netlink) const FLAGS: u16 = 3;
    pub(in crate::netlink) const KEY_TYPE: u16 = 4;
    pub(in crate::netlink) const DATA_TYPE: u16 = 6;
    pub(in crate::netlink) const DESC: u16 = 9;
    pub(in crate::netlink) const TIMEOUT: u16 = 11;
    pub(in crate::netlink) const GC_INTERVAL: u16 = 12;
    pub(in crate::netlink) const OBJECT_TYPE: u16 = 15;
    pub(in crate::netlink) const EXPRESSION: u16 = 17;
    pub(in crate::netlink) const EXPRESSIONS: u16 = 18;
    pub(in crate::netlink) const DESC_SIZE: u16 = 1;
}

/// `NFTA_EXPR_*`, `NFTA_COUNTER_*`
pub(super) mod expression {
    pub(in crate::netlink) const NAME: u16 = 1;
    pub(in crate::netlink) const DATA: u16 = 2;
    pub(in crate::netlink) const COUNTER_BYTES: u16 = 1;
    pub(in crate::netlink) const COUNTER_PACKETS: u16 = 2;
}

/// `NFTA_SET_ELEM_*`, `NFTA_DATA_*`, `NFTA_VERDICT_*`
pub(super) mod element {
    pub(in crate::netlink) const LIST_TABLE: u16 = 1;
    pub(in crate::netlink) const LIST_SET: u16 = 2;
    pub(in crate::netlink) const LIST_ELEMENTS: u16 = 3;
    pub(in crate::netlink) const LIST_ITEM: u16 = 1;
    pub(in crate::netlink) const KEY: u16 = 1;
    pub(in crate::netlink) const DATA: u16 = 2;
    pub(in crate::netlink) const TIMEOUT: u16 = 4;
    pub(in crate::netlink) const EXPIRATION: u16 = 5;
    pub(in crate::netlink) const USERDATA: u16 = 6;
    pub(in crate::netlink) const EXPRESSION: u16 = 7;
    pub(in crate::netlink) const KEY_END: u16 = 10;
    pub(in crate::netlink) const EXPRESSIONS: u16 = 11;
    pub(in crate::netlink) const VALUE: u16 = 1;
    pub(in crate::netlink) const VERDICT: u16 = 2;
    pub(in crate::netlink) const VERDICT_CODE: u16 = 1;
    pub(in crate::netlink) const VERDICT_CHAIN: u16 = 2;
}

/// `NFTA_GEN_*`
pub(super) mod generation {
    pub(in crate::netlink) const ID: u16 = 1;
}

/// `IPCTNL_MSG_CT_*`, `CTA_*`
pub(super) mod conntrack {
    pub(in crate::netlink) const NEW: u8 = 0;
    pub(in crate::netlink) const GET: u8 = 1;
    pub(in crate::netlink) const DELETE: u8 = 2;
    pub(in crate::netlink) const TUPLE_ORIGINAL: u16 = 1;
    pub(in crate::netlink) const TUPLE_REPLY: u16 = 2;
    pub(in crate::netlink) const STATUS: u16 = 3;
    pub(in crate::netlink) const PROTOCOL_INFO: u16 = 4;
    pub(in crate::netlink) const TIMEOUT: u16 = 7;
    pub(in crate::netlink) const MARK: u16 = 8;
    pub(in crate::netlink) const COUNTERS_ORIGINAL: u16 = 9;
    pub(in crate::netlink) const COUNTERS_REPLY: u16 = 10;
    pub(in crate::netlink) const ID: u16 = 12;
    pub(in crate::netlink) const MARK_MASK: u16 = 21;
    pub(in crate::netlink) const FILTER: u16 = 25;
    pub(in crate::netlink) const STATUS_MASK: u16 = 26;
    pub(in crate::netlink) const FILTER_ORIGINAL: u16 = 1;
    pub(in crate::netlink) const FILTER_SOURCE: u32 = 1;
    pub(in crate::netlink) const FILTER_PROTOCOL: u32 = 1 << 3;
    pub(in crate::netlink) const TUPLE_IP: u16 = 1;
    pub(in crate::netlink) const TUPLE_PROTOCOL: u16 = 2;
    pub(in crate::netlink) const IPV4_SOURCE: u16 = 1;
    pub(in crate::netlink) const IPV4_DESTINATION: u16 = 2;
    pub(in crate::netlink) const IPV6_SOURCE: u16 = 3;
    pub(in crate::netlink) const IPV6_DESTINATION: u16 = 4;
    pub(in crate::netlink) const PROTOCOL_NUMBER: u16 = 1;
    pub(in crate::netlink) const SOURCE_PORT: u16 = 2;
    pub(in crate::netlink) const DESTINATION_PORT: u16 = 3;
    pub(in crate::netlink) const ICMP_ID: u16 = 4;
    pub(in crate::netlink) const ICMPV6_ID: u16 = 7;
    pub(in crate::netlink) const INFO_TCP: u16 = 1;
    pub(in crate::netlink) const INFO_TCP_STATE: u16 = 1;
    pub(in crate::netlink) const COUNTER_PACKETS: u16 = 1;
    pub(in crate::netlink) const COUNTER_BYTES: u16 = 2;
}

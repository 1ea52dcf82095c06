//! Sets of flags, with the kernel's numbers and nft's names.

/// A set of flags that holds only flags with a name.
macro_rules! flags {
    (
        $(#[$about:meta])*
        $name:ident: $bits:ty { $($(#[$about_flag:meta])* $flag:ident = $bit:literal $text:literal,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($bits);

        impl $name {
            $($(#[$about_flag])* pub const $flag: Self = Self(1 << $bit);)*
            /// All of them.
            pub const ALL: Self = Self(0 $(| 1 << $bit)*);

            /// As the kernel writes them.
            #[must_use]
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// True if there is none.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// True if all of `other` are among them.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// nft's names of those that are set, in nft's order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Self::$flag, $text)),*].into_iter().filter_map(move |(flag, name)| self.contains(flag).then_some(name))
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl std::ops::BitAnd for $name {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }
    };
}

flags! {
    /// What may happen to a connection (`enum ip_conntrack_events`).
    EventMask: u16 {
        /// It began. What a connection's first packet did is told in one message, and any flag of it sends that.
        NEW = 0 "new",
        /// It began, and was expected by another.
        RELATED = 1 "related",
        /// It is gone.
        DESTROY = 2 "destroy",
        /// The first packet came back.
        REPLY = 3 "reply",
        /// Both sides are alive (tcp: the handshake is done).
        ASSURED = 4 "assured",
        /// The protocol's own state changed (tcp: already by the first packet).
        PROTOINFO = 5 "protoinfo",
        /// It got a helper.
        HELPER = 6 "helper",
        /// Its mark changed.
        MARK = 7 "mark",
        /// Its sequence numbers are adjusted.
        SEQADJ = 8 "seqadj",
        /// Its security mark changed.
        SECMARK = 9 "secmark",
        /// Its labels changed.
        LABEL = 10 "label",
    }
}

flags! {
    /// What connection tracking takes a packet for (`NF_CT_STATE_BIT`).
    CtStates: u8 {
        /// Of no connection, and none can begin with it; also every packet before connection tracking has seen it.
        INVALID = 0 "invalid",
        /// Of a connection that has seen packets both ways.
        ESTABLISHED = 1 "established",
        /// Begins a connection that another one expected, or an ICMP error about one.
        RELATED = 2 "related",
        /// Begins a connection, or belongs to one that has not been answered.
        NEW = 3 "new",
    }
}

flags! {
    /// The flags of a tcp header.
    TcpFlags: u8 {
        /// No more data will come.
        FIN = 0 "fin",
        /// Begins a connection.
        SYN = 1 "syn",
        /// Ends a connection at once.
        RST = 2 "rst",
        /// Data to be handed on at once.
        PSH = 3 "psh",
        /// Acknowledges: in every packet but the first.
        ACK = 4 "ack",
        /// Holds urgent data.
        URG = 5 "urg",
        /// Congestion was met.
        ECN = 6 "ecn",
        /// Congestion was answered.
        CWR = 7 "cwr",
    }
}

#[cfg(test)]
mod tests {
    use super::{CtStates, EventMask, TcpFlags};

    #[test]
    fn flags_have_the_kernels_numbers_and_nfts_names() {
        let events = EventMask::DESTROY | EventMask::NEW | EventMask::PROTOINFO;
        assert_eq!(events.bits(), 0x25);
        assert_eq!(events.names().collect::<Vec<_>>(), ["new", "destroy", "protoinfo"]);
        assert_eq!((CtStates::INVALID | CtStates::NEW).bits(), 0x9);
        assert_eq!((TcpFlags::SYN | TcpFlags::ACK).bits(), 0x12);
        assert_eq!(TcpFlags::ALL.bits(), 0xff);
        assert!(TcpFlags::ALL.contains(TcpFlags::SYN) && !TcpFlags::SYN.contains(TcpFlags::ALL));
        assert!(TcpFlags::default().is_empty() && TcpFlags::default().names().next().is_none());
        assert_eq!(TcpFlags::ALL & TcpFlags::SYN, TcpFlags::SYN);
    }
}

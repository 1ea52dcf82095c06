//! The same test for IPv4 and IPv6.

use crate::farm::{VIP, VIP6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a test needs to know of an address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The farm's VIP.
    #[must_use]
    pub fn vip(self) -> IpAddr {
        match self {
            Self::V4 => VIP,
            Self::V6 => VIP6,
        }
    }

    /// A port of the VIP.
    #[must_use]
    pub fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.vip(), port)
    }

    /// A client far away; those with the same number divided by 256 share a /24 or /64, of which there are two.
    #[must_use]
    pub fn client(self, number: u16) -> IpAddr {
        let [network, host] = number.to_be_bytes();
        match (self, network) {
            (Self::V4, 0) => Ipv4Addr::new(198, 51, 100, host).into(),
            (Self::V4, _) => Ipv4Addr::new(203, 0, 113, host).into(),
            (Self::V6, 0) => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, host.into(), 0, 0, 1).into(),
            (Self::V6, _) => Ipv6Addr::new(0x2001, 0xdb8, 2, 0, host.into(), 0, 0, 1).into(),
        }
    }

    /// The first of two, or the second.
    #[must_use]
    pub fn choose<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }
}

/// Makes two tests of each function that takes a [`Family`]: `ipv4::NAME` and `ipv6::NAME`, each in a sandbox of
/// its own. What they need beyond what the lab does may stand before them, and a semicolon after it.
#[macro_export]
macro_rules! both_families {
    ($($name:ident),+ $(,)?) => {
        $crate::both_families!(&[]; $($name),+);
    };
    ($needs:expr; $($name:ident),+ $(,)?) => {
        mod ipv4 {
            $(#[test]
            fn $name() {
                $crate::test_with($needs, || super::$name($crate::Family::V4));
            })+
        }
        mod ipv6 {
            $(#[test]
            fn $name() {
                $crate::test_with($needs, || super::$name($crate::Family::V6));
            })+
        }
    };
}

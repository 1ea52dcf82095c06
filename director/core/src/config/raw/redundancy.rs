//! The virtual router: who is Active, and what directors tell each other.

mod track;

pub(in crate::config) use track::{Track, TrackTarget};

use crate::config::decode::{List, Named, choice, record};
use crate::config::raw::Argument;
use crate::config::values::{AbsolutePath, Number, Period, Port};
use sync::vrrp::timing::Interval;

record! {
    /// How the directors agree on who is Active, by VRRP version 3.
    Redundancy {
        /// Virtual router identifier: the same on all directors, and nobody else's on their links.
        vrid: Number<1, 255> = required,
        /// Time between the Active's adverts: 10ms to 40950ms in steps of 10ms. Default: 1s.
        interval: Interval,
        /// Priorities of the directors by name; the highest is Active, of equal ones the higher address. Default: 100
        /// for each that is not named.
        priority: Named<Number<1, 254>>,
        /// Whether a director takes over from an Active of lower priority that works: never, always, or once it holds
        /// its connections. Default: after-sync.
        preempt: Preempt,
        /// How long it hears that one before it does: 0s to 1h. Default: 0s, with after-sync 10s.
        preempt_delay: Period<0, 3_600_000>,
        /// For so long after its start a director only listens: 0s to 1h. Default: 0s.
        startup_delay: Period<0, 3_600_000>,
        /// Links that carry adverts. Directors are known by their address on the first one. Default: public, private.
        links: List<Link>,
        /// To whom adverts go: to the other directors of the file, or to anybody on the link. Default: unicast.
        mode: Mode,
        /// Whether adverts are signed. Default: hmac if there is a `key_file`, else none.
        authentication: Authentication,
        /// File with the keys that adverts are signed with.
        key_file: AbsolutePath,
        /// Which checksum IPv4 adverts have: that of RFC 9568, or that of RFC 5798 with a pseudo-header, as keepalived
        /// has it. Both are taken. Default: rfc9568.
        checksum: Reading,
        /// The addresses move with the virtual router's MAC address. Default: false.
        virtual_mac: bool,
        /// How the neighbours are told that addresses have moved.
        announce: Announce,
        /// What else must be well for a director to be Active, at most 64: interfaces, hosts, programs, probes.
        track: List<Track>,
        /// What a director takes itself for when it starts. Default: backup.
        initial_state: InitialState,
        /// Program that runs at each change of role, an absolute path, with its arguments. Default: none.
        notify: List<Argument>,
    }
}

record! {
    /// How the neighbours are told that addresses have moved: by gratuitous ARP and unsolicited neighbour
    /// advertisements.
    Announce {
        /// Frames for each address in a burst. Default: 5.
        count: Number<1, 20>,
        /// Time between them: 0s to 1s. Default: 20ms.
        spacing: Period<0, 1_000>,
        /// A second burst comes so long after the first: up to 1h, 0s for none. Default: 5s.
        repeat: Period<0, 3_600_000>,
        /// One frame for each address every so often: 1s to 1d, 0s for none. Default: 60s; 1s with
        /// `virtual_mac`.
        refresh: Period<0, 86_400_000>,
    }
}

record! {
    /// What the directors say to each other beside adverts.
    Sync {
        /// The link that carries connections. Not supported yet.
        link: Link,
        /// UDP port of the directors' hellos, on their own addresses. Default: 3780.
        port: Port,
        /// File with the keys: the same as that of `redundancy`.
        key_file: AbsolutePath,
    }
}

choice! {
    /// When a returning director of higher priority takes over.
    Preempt {
        Never = "never",
        Always = "always",
        AfterSync = "after-sync",
    }
}

choice! {
    /// A director's interfaces.
    Link {
        Public = "public",
        Private = "private",
    }
}

choice! {
    /// To whom adverts go.
    Mode {
        Unicast = "unicast",
        Multicast = "multicast",
    }
}

choice! {
    /// How adverts are authenticated.
    Authentication {
        None = "none",
        Hmac = "hmac",
    }
}

choice! {
    /// What the checksum of IPv4 adverts covers.
    Reading {
        Rfc9568 = "rfc9568",
        Rfc5798 = "rfc5798",
    }
}

choice! {
    /// What a director takes itself for when it starts; master is the older word for active.
    InitialState {
        Backup = "backup",
        Active = "active",
        Master = "master",
    }
}

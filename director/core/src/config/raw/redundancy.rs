//! The pair: who is Active, and how connections reach the Backup.

use crate::config::decode::{List, Named, choice, record};
use crate::config::values::{AbsolutePath, InterfaceName, Number, Period, Port, Text};

record! {
    /// How the pair decides which director is Active. Not supported yet.
    Redundancy {
        /// Virtual router identifier, the same on both directors.
        vrid: Number<1, 255> = required,
        /// Time between advertisements. Default: 1s.
        interval: Period<10, 40_950>,
        /// Priorities of the directors by name; the higher one is Active.
        priority: Named<Number<1, 254>>,
        /// When a returning director of higher priority takes over. Default: after-sync.
        preempt: Preempt,
        /// How long it waits with that.
        preempt_delay: Period<0, 3_600_000>,
        /// Links that carry advertisements. Default: both.
        links: List<Link>,
        /// To whom advertisements go. Default: unicast.
        mode: Mode,
        /// How advertisements are authenticated. Default: hmac if there is a `key_file`.
        authentication: Authentication,
        /// File with the key.
        key_file: AbsolutePath,
        /// The addresses move with the virtual router's MAC address. Default: false.
        virtual_mac: bool,
        /// Further interfaces that must be up for a director to be Active.
        track: List<InterfaceName>,
        /// What a director is at start. Default: backup.
        initial_state: State,
        /// Program that runs at each change of state, with its arguments.
        notify: List<Text>,
    }
}

record! {
    /// How the Backup learns of connections. Not supported yet.
    Sync {
        /// The link that carries it. Default: private.
        link: Link,
        /// Its port. Default: 3780.
        port: Port,
        /// File with the key.
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
    /// To whom advertisements go.
    Mode {
        Unicast = "unicast",
        Multicast = "multicast",
    }
}

choice! {
    /// How advertisements are authenticated.
    Authentication {
        None = "none",
        Hmac = "hmac",
    }
}

choice! {
    /// What a director is at start; master is the older word for active.
    State {
        Backup = "backup",
        Active = "active",
        Master = "master",
    }
}

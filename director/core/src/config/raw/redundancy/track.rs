//! What else must be well for a director to be Active.

use crate::config::decode::{Decode, Definitions, List, record};
use crate::config::raw::{Argument, ProbeUse, Source};
use crate::config::report::Diagnostics;
use crate::config::values::{InterfaceName, Number, Period, Text};
use crate::config::yaml::{Content, Node};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Something that is tracked: an interface by its name, or a target with what belongs to it.
#[derive(Debug)]
pub(in crate::config) enum Track {
    Interface(InterfaceName),
    Target(Box<TrackTarget>),
}

record! {
    /// Something that must be well for a director to be Active.
    TrackTarget {
        /// Name of an interface, which must be up and have a carrier.
        interface: InterfaceName = one_of,
        /// Address of a host that must answer an echo request.
        ping: IpAddr = one_of,
        /// Program, an absolute path, and its arguments: it must exit with 0. At most 64.
        script: List<Argument> = one_of,
        /// A probe that must pass, by name or in place. It needs an `address`.
        probe: ProbeUse = one_of,
        /// While it is not well the priority is lower by so much. Default: the director is not fit to be Active.
        lower: Number<1, 253>,
        /// ping, script: from one attempt's start to the next one's: 100ms to 1h. Default: 1s.
        interval: Period<100, 3_600_000>,
        /// ping, script: an attempt without an end by then has failed: 10ms to `interval`. Default: 1s, or a shorter
        /// `interval`.
        timeout: Period<10, 3_600_000>,
        /// ping, script: so many successes in a row make it well. Default: 2.
        rise: Number<1, 100>,
        /// ping, script: so many failures in a row make it not well. Default: 3.
        fall: Number<1, 100>,
        /// ping: where it leaves from, `private` or an address. Default: where the routes say.
        source: Source,
        /// script: the user that the program runs as. Default: nobody.
        user: Text,
    }
}

impl Decode for Track {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        if let Content::Mapping(_) = node.content {
            TrackTarget::decode(node, errors).map(Box::new).map(Self::Target)
        } else {
            InterfaceName::decode(node, errors).map(Self::Interface)
        }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [InterfaceName::schema(definitions), TrackTarget::schema(definitions)] })
    }
}

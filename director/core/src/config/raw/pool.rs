//! The servers of a service, and what limits them.

use super::probe::{Combination, ProbeUse};
use crate::config::decode::{Decode, Definitions, List, Spanned, choice, record};
use crate::config::report::Diagnostics;
use crate::config::values::{Granularity, Name, Number, Period, Port, PortTable};
use crate::config::yaml::{Content, Node};
use crate::model::RateUnit;
use serde_json::{Value, json};

record! {
    /// A real server of a service.
    ServiceServer {
        /// Its share of new connections; 0: none. Default: 1.
        weight: Number<0, 65_535>,
        /// Its port for all ports of the service. Default: the port that the client called.
        port: Port = at_most_one_of("port"),
        /// Its ports by those of the service, in place of `port`; others stay.
        ports: PortTable = at_most_one_of("port"),
        /// Takes connections only while no server of a lower number can. Default: 0.
        priority: Number<0, 255>,
        /// Connections at which it takes no more, and at which it does so again. Default: any number.
        thresholds: Thresholds,
        /// The probe that it must pass in place of the service's: its name, or its keys in place. Default: those of
        /// the service.
        probe: ProbeUse = at_most_one_of("probe"),
        /// Several probes, in place of `probe`.
        probes: List<ProbeUse> = at_most_one_of("probe"),
        /// How many of the probes it must pass: `all`, `any`, or a number, also as {at-least: 2}. Default: all of its
        /// own probes; of the service's, as many as there.
        probes_required: Combination,
    }
}

record! {
    /// Connection thresholds of a server: open and closing ones together.
    Thresholds {
        /// At so many connections it gets no new ones.
        upper: Number<1, 100_000_000> = required,
        /// Below so many it gets new ones again, at most `upper`. Default: three quarters of `upper`.
        lower: Number<1, 100_000_000>,
    }
}

record! {
    /// Serves while the servers of the service do not.
    SorryServer {
        /// Its name under `servers`.
        server: Name = required,
        /// Its port for all ports of the service. Default: the port that the client called.
        port: Port,
        /// Its share beside other sorry servers; 0: none. Default: 1.
        weight: Number<0, 65_535>,
        /// The probe that it must pass itself: its name, or its keys in place. Default: none, and it counts as up.
        probe: ProbeUse = at_most_one_of("probe"),
        /// Several probes, in place of `probe`.
        probes: List<ProbeUse> = at_most_one_of("probe"),
        /// How many of the probes it must pass: `all`, `any`, or a number, also as {at-least: 2}. Default: all.
        probes_required: Combination,
    }
}

/// How a server gets to its full weight: a mapping, or only the time.
#[derive(Debug)]
pub(in crate::config) struct SlowStart(pub(in crate::config) Climb);

record! {
    /// How a server gets to its full weight.
    Climb {
        /// Time until the full weight: 1s to 1d, whole seconds.
        over: Period<1_000, 86_400_000> = required,
        /// How its share grows: evenly, or from 1/32 by doubling it five times. Default: linear.
        ramp: Ramp,
    }
}

impl Decode for SlowStart {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        if let Content::Mapping(_) = node.content {
            Climb::decode(node, errors).map(Self)
        } else {
            Spanned::decode(node, errors).map(|over| Self(Climb { over: Some(over), ramp: None }))
        }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [Period::<1_000, 86_400_000>::schema(definitions), Climb::schema(definitions)] })
    }
}

choice! {
    /// How a share grows.
    Ramp {
        Linear = "linear",
        Doubling = "doubling",
    }
}

record! {
    /// New connections that one client may make.
    RateLimit {
        /// So many in the time under `per`.
        connections: Number<1, 1_000_000> = required,
        /// The time: second, minute, hour or day; 1s, 1m, 1h and 1d are the same. Default: second.
        per: RateUnit,
        /// So many at once before the limit is felt. Default: `connections`.
        burst: Number<1, 1_000_000>,
        /// Leading bits of an IPv4 client address that make one client: 24, /24 or 255.255.255.0. Default: 32.
        granularity: Granularity<32>,
        /// Leading bits of an IPv6 client address that make one client: 64 or /64. Default: 128.
        granularity6: Granularity<128>,
    }
}

//! Servers that go up and down.

use crate::config::decode::record;
use crate::config::values::{Number, Period};

record! {
    /// A server that went down too often stays down until it has proved itself.
    FlapDamping {
        /// So many times down within the time under `within` are too often. Default: 3.
        changes: Number<2, 100>,
        /// The time in which they are counted: 1s to 1d. Default: 10m.
        within: Period<1_000, 86_400_000>,
        /// For so long it must pass without a failure then to come up: 1s to 1d. Default: 5m.
        hold: Period<1_000, 86_400_000>,
    }
}

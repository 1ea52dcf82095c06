//! What two clocks say at a moment.

/// What two clocks say at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clocks {
    /// Seconds since 1970. What outlives the process goes by it: what operators set for a time. It may jump.
    pub wall: u64,
    /// Seconds of a clock that never jumps. What the process alone remembers goes by it.
    pub steady: u64,
}

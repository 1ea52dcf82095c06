//! The lab: a farm in network namespaces, for the end-to-end tests, the demonstration and the benchmarks.
//!
//! ```text
//! client ---+---- switch "public" ----+--- lb1 ---+---- switch "private" ---+--- exchange1
//! 192.168.1.1      192.168.1.0/24     +--- lb2 ---+      10.0.1.0/24        +--- exchange2
//! ```
//!
//! Everything lives in a [`sandbox`]: private process, mount and network namespaces that the kernel clears away
//! when the process that asked for them ends, however it ends. In it, each machine is a network namespace, a
//! [`Host`]. Real servers and clients are threads of this process whose sockets belong to their host's namespace;
//! directors, and whatever else runs there, are processes.
//!
//! A test reads:
//! ```no_run
//! use lab::{Lab, Tally, Target};
//! # fn name_of_the_test() {
//! lab::test(|| {
//!     let (lab, director, _servers) = Lab::exchange()?.serve("services: ...")?;
//!     let tally: Tally = lab.client().visit(&Target::new("192.168.1.35:80".parse()?), 100)?;
//!     assert_eq!(tally.failed(), 0, "{tally}\n{}", director.log());
//!     Ok(())
//! });
//! # }
//! ```

pub mod api;
pub mod asker;
pub mod authority;
pub mod baseline;
pub mod cable;
pub mod capture;
pub mod client;
pub mod director;
pub mod error;
pub mod family;
pub mod farm;
pub mod figures;
pub mod greeting;
pub mod host;
pub mod keepalived;
pub mod machine;
pub mod pair;
pub mod program;
pub mod raw;
pub mod sandbox;
pub mod server;
pub mod wait;

pub use api::Api;
pub use asker::Asker;
pub use authority::{Authority, Certificate};
pub use cable::Cut;
pub use capture::{Capture, Frame, Said};
pub use client::{Attempt, Client, Failure, Flow, Gap, Hold, Load, Pinger, Tally, Target, UdpClient};
pub use director::Director;
pub use error::Error;
pub use family::Family;
pub use farm::{Lab, addresses, without_server};
pub use greeting::Greeting;
pub use host::Host;
pub use keepalived::Keepalived;
pub use machine::Machine;
pub use pair::Pair;
pub use program::Program;
pub use raw::{Raw, Segment};
pub use sandbox::{Need, test, test_with};
pub use server::Server;
pub use wait::{eventually, eventually_some};

/// What tests return.
pub type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// What the lab's functions return.
pub type Result<T> = std::result::Result<T, Error>;

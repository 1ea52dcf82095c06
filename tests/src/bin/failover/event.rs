//! What happens to the Active.

use crate::Outcome;
use crate::product::Product;
use lab::{Cut, Lab};
use std::thread::sleep;
use std::time::Duration;

/// How long nothing happens.
const CALM: Duration = Duration::from_millis(300);

/// Something that makes lb2 Active, but for the first, which changes nothing, and the last, which makes lb1 so again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// To see what the machine that measures does by itself.
    Nothing,
    /// The machine is gone, from one moment to the next.
    PowerOff,
    /// Its processes are killed; its kernel keeps the addresses, and goes on.
    Kill,
    /// The cable towards the clients is pulled.
    LinkDown,
    /// The service is stopped.
    Stop,
    /// The operator wants the other one to be Active.
    HandOver,
    /// The operator wants lb1 back.
    HandBack,
}

impl Event {
    /// In an order in which each finds what it needs.
    pub(crate) const ALL: [Self; 7] = [
        Self::Nothing,
        Self::PowerOff,
        Self::Kill,
        Self::LinkDown,
        Self::Stop,
        Self::HandOver,
        Self::HandBack,
    ];

    /// What the table says.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nothing => "Nothing happens",
            Self::PowerOff => "The Active's power fails",
            Self::Kill => "kill -9, while the machine goes on",
            Self::LinkDown => "The public link goes down",
            Self::Stop => "The Active is stopped (SIGTERM)",
            Self::HandOver => "Planned failover",
            Self::HandBack => "Planned failover, and back",
        }
    }

    /// The machine that is Active before.
    pub(crate) fn before(self) -> usize {
        usize::from(self == Self::HandBack)
    }

    /// The machine that is Active afterwards.
    pub(crate) fn after(self) -> usize {
        usize::from(!matches!(self, Self::Nothing | Self::HandBack))
    }

    /// The Backup can't know but by waiting.
    pub(crate) fn is_silent(self) -> bool {
        matches!(self, Self::PowerOff | Self::Kill)
    }

    pub(crate) fn happen(self, lab: &Lab, product: &mut dyn Product) -> Outcome {
        match self {
            Self::Nothing => {
                sleep(CALM);
                Ok(())
            }
            Self::PowerOff => {
                lab.directors()[0].cut_at_once(&["eth0", "eth1"], Cut::All)?;
                product.kill(0)
            }
            Self::Kill => product.kill(0),
            Self::LinkDown => Ok(lab.directors()[0].unplug("eth0")?),
            Self::Stop => product.stop(0),
            Self::HandOver => product.hand_over(),
            Self::HandBack => product.hand_back(),
        }
    }

    /// Makes lb1 as it was; it takes over again by itself then.
    pub(crate) fn undo(self, lab: &Lab, product: &mut dyn Product) -> Outcome {
        let host = &lab.directors()[0];
        match self {
            Self::PowerOff | Self::Kill => {
                // A machine that starts has none of these.
                host.run("ip address flush dev eth0 to 192.168.1.35")?;
                host.run("ip address flush dev eth1 to 10.0.1.254")?;
                host.run("conntrack -F")?;
                if self == Self::PowerOff {
                    host.mend("eth0")?;
                    host.mend("eth1")?;
                }
                product.start(0)
            }
            Self::LinkDown => Ok(host.plug("eth0")?),
            Self::Stop => product.start(0),
            Self::Nothing | Self::HandOver | Self::HandBack => Ok(()),
        }
    }
}

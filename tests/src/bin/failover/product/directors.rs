//! Two directors.

use super::Product;
use crate::Outcome;
use crate::observation::PORT;
use lab::farm::VIP;
use lab::{Director, Lab};
use std::time::Duration;

pub(crate) struct Directors([Director; 2]);

impl Directors {
    pub(crate) fn new(lab: &Lab, interval: Duration, priorities: [u8; 2]) -> Outcome<Self> {
        let configuration = lab.configuration(&format!(
            "
            redundancy:
              vrid: 51
              interval: {}ms
              priority: {{ lb1: {}, lb2: {} }}
              preempt: always
            services:
              smtp:
                vip: {VIP}
                ports: {{ tcp: {PORT} }}
                servers: {{ exchange1: {{}}, exchange2: {{}} }}
            ",
            interval.as_millis(),
            priorities[0],
            priorities[1]
        ));
        let director = |node: usize| Director::new(lab.directors()[node].clone(), &configuration);
        Ok(Self([director(0)?, director(1)?]))
    }
}

impl Product for Directors {
    fn start(&mut self, node: usize) -> Outcome {
        Ok(self.0[node].start()?)
    }

    fn stop(&mut self, node: usize) -> Outcome {
        Ok(self.0[node].stop()?)
    }

    fn kill(&mut self, node: usize) -> Outcome {
        Ok(self.0[node].kill()?)
    }

    fn hand_over(&mut self) -> Outcome {
        Ok(self.0[0].cli(&["failover"]).map(drop)?)
    }

    fn hand_back(&mut self) -> Outcome {
        Ok(self.0[1].cli(&["failover"]).map(drop)?)
    }

    fn clear(&mut self, _: &Lab) -> Outcome {
        Ok(self.0.iter().try_for_each(Director::flush)?)
    }
}

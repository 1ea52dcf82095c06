//! Ending connections.

use super::Selection;
use director_nft::netlink::{Error, Filter};

impl Selection {
    /// Ends them; returns how many. Where their marks tell them from others the kernel ends them all at once, and
    /// those that began in that moment are not counted. Blocks while the kernel works.
    ///
    /// # Errors
    /// The kernel refused; some may have ended then.
    pub fn end(self) -> Result<u64, Error> {
        let mut ender = self.view.table.ender()?;
        let mut pieces = self.view.table.list(&self.filter)?;
        if self.marks_suffice() {
            let mut found = 0;
            while pieces.read(&mut |_| found += 1)? {}
            ender.end_all(self.filter.mark, self.filter.mask)?;
            return Ok(found);
        }
        let (mut ended, mut chosen, mut more) = (0, Vec::new(), true);
        while more {
            more = pieces.read(&mut |flow| {
                if self.conditions.hold(flow) {
                    chosen.push(flow.clone());
                }
            })?;
            for flow in chosen.drain(..) {
                ended += u64::from(ender.end(&flow)?);
            }
        }
        Ok(ended)
    }

    /// True if everything with these marks is meant.
    fn marks_suffice(&self) -> bool {
        self.conditions.is_empty() && self.filter == Filter::mark(self.filter.mark, self.filter.mask)
    }
}

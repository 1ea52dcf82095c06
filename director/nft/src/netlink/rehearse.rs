//! What would the kernel say? Asked with batches that it takes back.

use super::batch::Batch;
use super::{Error, Nft};
use crate::ir::{Rule, Statement};
use crate::transaction::{Operation, Transaction};

/// A chain that no ruleset has.
const CHAIN: &str = "supported?";

impl Nft {
    /// True if the kernel knows all that the statement is made of. Leaves nothing behind, but for loaded modules.
    ///
    /// # Errors
    /// As [`Self::apply`]; [`Error::Invalid`] for statements that name a map or a chain, and so depend on these.
    pub fn supports(&mut self, statement: &Statement) -> Result<bool, Error> {
        let mut transaction = empty_chain();
        let rule = Rule { statements: vec![statement.clone()], comment: None };
        let operation = Operation::AddRule { chain: CHAIN.to_owned(), rule };
        if statement.map().is_some() || statement.target().is_some() {
            let reason =
                "whether the kernel supports it depends on the map or chain that it names".to_owned();
            return Err(Error::invalid(&operation, reason));
        }
        transaction.operations.push(operation);
        let batch = Batch::rehearsal(&transaction)?;
        known(self.exchange(&transaction, batch), transaction.operations.len() - 1)
    }
}

fn empty_chain() -> Transaction {
    let chain = Operation::AddChain { name: CHAIN.to_owned(), base: None };
    Transaction { operations: vec![Operation::AddTable, chain] }
}

/// False if the operation at this place failed for want of what it is made of.
fn known(result: Result<(), Error>, place: usize) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Refused { index: Some(index), error, .. })
            if index == place && matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP)) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace;
    use crate::netlink::batch::rehearsal_of_expression;
    use nix::sched::{CloneFlags, unshare};

    /// Whether the kernel knows an expression of this name.
    fn knows(nft: &mut Nft, name: &str) -> bool {
        let mut transaction = empty_chain();
        let batch = rehearsal_of_expression(&transaction, CHAIN, name).unwrap();
        // An error about the rule, which no operation stands for, is laid to this one.
        transaction.operations.push(Operation::FlushChain { name: CHAIN.to_owned() });
        known(nft.exchange(&transaction, batch), transaction.operations.len() - 1).unwrap()
    }

    #[test]
    fn an_expression_that_no_kernel_has_is_not_supported() {
        let asked = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).ok()?;
            let mut nft = Nft::open().unwrap();
            let answers = ["counter", "made-up", "notrack"].map(|name| knows(&mut nft, name));
            assert!(!nft.observe().unwrap().table);
            Some(answers)
        });
        match asked.join().unwrap() {
            Some(answers) => assert_eq!(answers, [true, false, true]),
            None => namespace::skip(),
        }
    }
}

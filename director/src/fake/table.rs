//! A table of connections in memory.

use crate::connections::{Ender, Pieces, Table};
use director_nft::netlink::{Error, Filter, Flow, Tuple};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Connections of a piece.
const PIECE: usize = 100;

/// Chooses as the kernel does.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeTable(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    flows: Vec<Flow>,
    /// Pieces that are read before the kernel refuses.
    pieces: Option<usize>,
}

impl FakeTable {
    /// A connection from `client` to `vip` that `server` answers; TCP if it has a state.
    pub(crate) fn add(&self, [client, vip, server]: [&str; 3], mark: u32, tcp_state: Option<u8>) {
        let [client, vip, server] = [client, vip, server].map(|text| text.parse::<SocketAddr>().unwrap());
        let tuple = |from: SocketAddr, to: SocketAddr| Tuple {
            source: from.ip(),
            destination: to.ip(),
            source_port: from.port(),
            destination_port: to.port(),
        };
        let flows = &mut self.0.lock().unwrap().flows;
        flows.push(Flow {
            id: flows.len().try_into().unwrap(),
            mark,
            protocol: if tcp_state.is_some() { 6 } else { 17 },
            original: tuple(client, vip),
            reply: tuple(server, client),
            tcp_state,
            status: 0,
            timeout: Some(Duration::from_secs(100)),
            traffic: None,
        });
    }

    /// Connections left.
    pub(crate) fn clients(&self) -> Vec<String> {
        let flows = &self.0.lock().unwrap().flows;
        flows.iter().map(|flow| flow.original.source.to_string()).collect()
    }

    /// The kernel refuses to go on after so many pieces.
    pub(crate) fn refuse_after(&self, pieces: usize) {
        self.0.lock().unwrap().pieces = Some(pieces);
    }
}

fn refused() -> Error {
    Error::Request { what: "reading".to_owned(), error: io::ErrorKind::PermissionDenied.into() }
}

impl Table for FakeTable {
    fn list(&self, filter: &Filter) -> Result<Box<dyn Pieces>, Error> {
        let contents = self.0.lock().unwrap();
        let flows: Vec<Flow> = contents.flows.iter().filter(|flow| filter.fits(flow)).cloned().collect();
        Ok(Box::new(FakePieces { flows, pieces: contents.pieces }))
    }

    fn ender(&self) -> Result<Box<dyn Ender>, Error> {
        Ok(Box::new(self.clone()))
    }
}

struct FakePieces {
    flows: Vec<Flow>,
    pieces: Option<usize>,
}

impl Pieces for FakePieces {
    fn read(&mut self, each: &mut dyn FnMut(&Flow)) -> Result<bool, Error> {
        match &mut self.pieces {
            Some(0) => return Err(refused()),
            Some(pieces) => *pieces -= 1,
            None => {}
        }
        let piece = PIECE.min(self.flows.len());
        self.flows.drain(..piece).for_each(|flow| each(&flow));
        Ok(!self.flows.is_empty())
    }
}

impl Ender for FakeTable {
    fn end_all(&mut self, mark: u32, mask: u32) -> Result<(), Error> {
        self.0.lock().unwrap().flows.retain(|flow| flow.mark & mask != mark);
        Ok(())
    }

    fn end(&mut self, flow: &Flow) -> Result<bool, Error> {
        let flows = &mut self.0.lock().unwrap().flows;
        let before = flows.len();
        flows.retain(|other| other.id != flow.id);
        Ok(flows.len() < before)
    }
}

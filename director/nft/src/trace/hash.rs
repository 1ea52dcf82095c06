//! The kernel's `jhash`: Bob Jenkins's lookup3, as nf_tables applies it to registers.

use super::Packet;
use crate::ir::{Datum, Jhash};

/// Bytes that lookup3 takes in at a time.
const BLOCK: usize = 12;

impl Jhash {
    /// The number that the kernel comes to for a packet; `None` if the packet has not all of the fields.
    #[must_use]
    pub fn number(&self, packet: &Packet) -> Option<u32> {
        let fields: Option<Vec<Datum>> = self.key.iter().map(|it| packet.field(*it, Some(0))).collect();
        Some(number(self, &fields?))
    }
}

/// The number that the kernel comes to for these values of the key's fields.
pub(super) fn number(jhash: &Jhash, fields: &[Datum]) -> u32 {
    let key: Vec<u8> = fields.iter().flat_map(|field| registers(*field)).collect();
    // The upper half of the product scales the hash to the modulus without a division.
    let scaled = (u64::from(hash(&key, jhash.seed)) * u64::from(jhash.modulus)) >> 32;
    u32::try_from(scaled).unwrap_or(u32::MAX).wrapping_add(jhash.offset)
}

/// A value as it lies in the kernel's 4-byte registers, zeros behind it. Marks are in the machine's byte order,
/// addresses and ports in the network's.
fn registers(value: Datum) -> Vec<u8> {
    let mut bytes = match value {
        Datum::Ipv4(address) => address.octets().to_vec(),
        Datum::Ipv6(address) => address.octets().to_vec(),
        Datum::Proto(number) => vec![number],
        Datum::Port(port) => port.to_be_bytes().to_vec(),
        Datum::Mark(mark) => mark.to_ne_bytes().to_vec(),
    };
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn hash(key: &[u8], seed: u32) -> u32 {
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut state = [0xdead_beef_u32.wrapping_add(length).wrapping_add(seed); 3];
    let (whole, last) = key.split_at(key.len().saturating_sub(1) / BLOCK * BLOCK);
    for block in whole.chunks(BLOCK) {
        // The kernel reads words in the machine's order up to the last block, which it puts together by bytes.
        absorb(&mut state, block, u32::from_ne_bytes);
        mix(&mut state);
    }
    if !last.is_empty() {
        absorb(&mut state, last, u32::from_le_bytes);
        finish(&mut state);
    }
    state[2]
}

/// Adds up to a block, zeros behind it.
fn absorb(state: &mut [u32; 3], bytes: &[u8], word: fn([u8; 4]) -> u32) {
    let mut block = [0; BLOCK];
    block.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    for (part, bytes) in state.iter_mut().zip(block.as_chunks().0) {
        *part = part.wrapping_add(word(*bytes));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: u32, z: &mut u32, bits: u32| {
        *x = x.wrapping_sub(*z) ^ z.rotate_left(bits);
        *z = z.wrapping_add(y);
    };
    step(a, *b, c, 4);
    step(b, *c, a, 6);
    step(c, *a, b, 8);
    step(a, *b, c, 16);
    step(b, *c, a, 19);
    step(c, *a, b, 4);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: u32, bits: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(bits));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lookup3's author says that it comes to.
    #[test]
    fn known_values() {
        assert_eq!(hash(b"", 0), 0xdead_beef);
        assert_eq!(hash(b"", 0xdead_beef), 0xbd5b_7dde);
        if cfg!(target_endian = "little") {
            assert_eq!(hash(b"Four score and seven years ago", 0), 0x1777_0551);
            assert_eq!(hash(b"Four score and seven years ago", 1), 0xcd62_8161);
        }
    }

    #[test]
    fn numbers_are_below_the_modulus_and_begin_at_the_offset() {
        for seed in 0..1000 {
            let jhash = Jhash { key: Vec::new(), modulus: 7, seed, offset: 100 };
            assert!((100..107).contains(&number(&jhash, &[Datum::Mark(5), Datum::Port(80)])));
        }
    }
}

//! Netlink messages and attributes, written and read in safe code.
//!
//! Reading never fails: what is malformed ends the iteration, and numbers of a wrong length are `None`.

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Length of `struct nfgenmsg`, which begins every payload of the netfilter subsystems.
pub(super) const FAMILY_HEADER: usize = 4;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = 0x3fff;

/// A message being written: header, `nfgenmsg`, then attributes in the order they are added.
#[derive(Debug, Default, Clone)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a message of a subsystem. The sequence number is written by whoever sends it.
    pub(super) fn message(kind: u16, flags: u16, family: u8) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend([family, 0, 0, 0]);
        Self { bytes }
    }

    /// A raw attribute.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.bytes.extend(value);
        self.close(start)
    }

    /// A number in network order.
    pub(super) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text with its terminator.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.bytes.extend(value.as_bytes());
        self.bytes.push(0);
        self.close(start)
    }

    /// An attribute that holds attributes. Its length must stay below 64 KiB: beyond, the length saturates and
    /// the kernel refuses the message.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind | NESTED);
        fill(self);
        self.close(start)
    }

    /// Attributes written elsewhere.
    pub(super) fn append(&mut self, attributes: &[u8]) -> &mut Self {
        self.bytes.extend(attributes);
        self
    }

    /// What was written so far.
    pub(super) fn written(&self) -> &[u8] {
        &self.bytes
    }

    /// The message with its length and sequence number in place.
    pub(super) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        put(&mut self.bytes, 0, &length.to_ne_bytes());
        put(&mut self.bytes, 8, &sequence.to_ne_bytes());
        self.bytes
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) -> &mut Self {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        put(&mut self.bytes, start, &length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// Overwrites bytes in place; nothing happens where they would not fit.
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// A message as it was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// `nlmsg_type`: subsystem and kind.
    pub(super) kind: u16,
    /// `nlmsg_flags`
    pub(super) flags: u16,
    /// `nlmsg_seq` of the request that this answers.
    pub(super) sequence: u32,
    /// `nlmsg_pid`: in a notification, the port of the socket that caused it.
    pub(super) port: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes behind the `nfgenmsg`.
    pub(super) fn attributes(&self) -> Attributes<'a> {
        Attributes(self.payload.get(FAMILY_HEADER..).unwrap_or_default())
    }

    /// The address family in the `nfgenmsg`.
    pub(super) fn family(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// The error number of an `NLMSG_ERROR` (0 acknowledges) or `NLMSG_DONE`, positive.
    pub(super) fn errno(&self) -> i32 {
        self.payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code).saturating_neg())
    }
}

/// The messages of a datagram.
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let header: &[u8; HEADER] = self.0.first_chunk()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            payload,
        })
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    /// Its type, without the flags.
    pub(super) kind: u16,
    /// What it holds.
    pub(super) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The attributes inside.
    pub(super) fn nested(&self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// One byte.
    pub(super) fn u8(&self) -> Option<u8> {
        <[u8; 1]>::try_from(self.value).ok().map(|[byte]| byte)
    }

    /// Two bytes in network order.
    pub(super) fn u16(&self) -> Option<u16> {
        self.value.try_into().ok().map(u16::from_be_bytes)
    }

    /// Four bytes in network order.
    pub(super) fn u32(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// Eight bytes in network order.
    pub(super) fn u64(&self) -> Option<u64> {
        self.value.try_into().ok().map(u64::from_be_bytes)
    }

    /// A text, up to its terminator.
    pub(super) fn text(&self) -> Option<String> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        String::from_utf8(self.value.get(..end)?.to_vec()).ok()
    }
}

/// A run of attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The first attribute of a type.
    pub(super) fn get(self, kind: u16) -> Option<Attribute<'a>> {
        self.into_iter().find(|attribute| attribute.kind == kind)
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = Attribute<'a>;
    type IntoIter = AttributeIter<'a>;

    fn into_iter(self) -> AttributeIter<'a> {
        AttributeIter(self.0)
    }
}

/// Reads attributes one after the other.
pub(super) struct AttributeIter<'a>(&'a [u8]);

impl<'a> Iterator for AttributeIter<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let [l0, l1, k0, k1] = *self.0.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind: u16::from_ne_bytes([k0, k1]) & TYPE_MASK, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::message(0x0a03, 5, 1);
        writer.text(1, "director").nest(2, |inner| {
            inner.u32(7, 0xdead_beef).bytes(8, &[9]);
        });
        let bytes = writer.finish(77);
        let mut messages = Messages(&bytes);
        let message = messages.next().unwrap();
        assert_eq!((message.kind, message.flags, message.sequence), (0x0a03, 5, 77));
        assert_eq!(message.family(), Some(1));
        assert_eq!(message.attributes().get(1).unwrap().text().as_deref(), Some("director"));
        let nest = message.attributes().get(2).unwrap();
        assert_eq!(nest.nested().get(7).unwrap().u32(), Some(0xdead_beef));
        assert_eq!(nest.nested().get(8).unwrap().u8(), Some(9));
        assert!(nest.nested().get(8).unwrap().u32().is_none());
        assert!(messages.next().is_none());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for message in Messages(&bytes) {
                message.errno();
                for attribute in message.attributes() {
                    attribute.text();
                    attribute.u64();
                    attribute.nested().into_iter().for_each(drop);
                }
            }
            Attributes(&bytes).into_iter().for_each(drop);
        }
    }
}

//! Fields of keys and data in the kernel's layout.

use crate::ir::{DataType, Datum};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A value in the layout that the kernel compares.
pub(super) type Bytes = Vec<u8>;

/// Bits that each type has in the number of a concatenated type.
const TYPE_BITS: u32 = 6;
/// Most fields whose types fit one number.
const FIELDS_MAX: usize = 5;

impl DataType {
    /// nft's number of the type, which the kernel stores and `nft list` reads.
    pub(super) const fn id(self) -> u32 {
        match self {
            Self::Ipv4Addr => 7,
            Self::Ipv6Addr => 8,
            Self::InetProto => 12,
            Self::InetService => 13,
            Self::Mark => 19,
        }
    }

    /// Bytes of a value.
    pub(super) const fn length(self) -> u32 {
        match self {
            Self::Ipv4Addr | Self::Mark => 4,
            Self::Ipv6Addr => 16,
            Self::InetProto => 1,
            Self::InetService => 2,
        }
    }

    /// [`Self::length`] for slices.
    pub(super) const fn size(self) -> usize {
        self.length() as usize
    }

    /// 4-byte registers that a value takes.
    pub(super) const fn registers(self) -> u32 {
        self.length().div_ceil(4)
    }

    /// True if the value is of this type.
    pub(super) const fn fits(self, datum: Datum) -> bool {
        matches!(
            (self, datum),
            (Self::Ipv4Addr, Datum::Ipv4(_))
                | (Self::Ipv6Addr, Datum::Ipv6(_))
                | (Self::InetProto, Datum::Proto(_))
                | (Self::InetService, Datum::Port(_))
                | (Self::Mark, Datum::Mark(_))
        )
    }

    fn of_id(id: u32) -> Option<Self> {
        [Self::Ipv4Addr, Self::Ipv6Addr, Self::InetProto, Self::InetService, Self::Mark]
            .into_iter()
            .find(|kind| kind.id() == id)
    }

    fn read(self, bytes: &[u8]) -> Option<Datum> {
        Some(match self {
            Self::Ipv4Addr => Datum::Ipv4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
            Self::Ipv6Addr => Datum::Ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
            Self::InetProto => Datum::Proto(<[u8; 1]>::try_from(bytes).ok()?[0]),
            Self::InetService => Datum::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Mark => Datum::Mark(u32::from_ne_bytes(bytes.try_into().ok()?)),
        })
    }
}

/// One value, without padding.
pub(super) fn bytes_of(datum: Datum) -> Bytes {
    match datum {
        Datum::Ipv4(address) => address.octets().to_vec(),
        Datum::Ipv6(address) => address.octets().to_vec(),
        Datum::Proto(number) => vec![number],
        Datum::Port(port) => port.to_be_bytes().to_vec(),
        Datum::Mark(mark) => mark.to_ne_bytes().to_vec(),
    }
}

/// Number of a type, or of a concatenation of up to five.
pub(super) fn type_id(types: &[DataType]) -> Option<u32> {
    if types.is_empty() || types.len() > FIELDS_MAX {
        return None;
    }
    Some(types.iter().fold(0, |id, kind| id << TYPE_BITS | kind.id()))
}

/// The types that a number stands for.
pub(super) fn types_of(mut id: u32) -> Option<Vec<DataType>> {
    let mut types = Vec::new();
    while id != 0 {
        types.push(DataType::of_id(id & ((1 << TYPE_BITS) - 1))?);
        id >>= TYPE_BITS;
    }
    types.reverse();
    (!types.is_empty()).then_some(types)
}

/// Bytes of values of these types: in a concatenation each is rounded up to whole registers.
pub(super) fn total_length(types: &[DataType]) -> u32 {
    match types {
        [single] => single.length(),
        several => several.iter().map(|kind| kind.registers() * 4).sum(),
    }
}

/// Values one behind the other as the types say; `None` if they are not of these types.
pub(super) fn join(types: &[DataType], data: impl ExactSizeIterator<Item = Datum>) -> Option<Bytes> {
    if types.len() != data.len() {
        return None;
    }
    let mut out = Vec::with_capacity(32);
    for (kind, datum) in types.iter().zip(data) {
        if !kind.fits(datum) {
            return None;
        }
        out.extend(bytes_of(datum));
        if types.len() > 1 {
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    Some(out)
}

/// The values in `bytes`; `None` if the length is not that of the types.
pub(super) fn split(types: &[DataType], mut bytes: &[u8]) -> Option<Vec<Datum>> {
    let mut data = Vec::with_capacity(types.len());
    for kind in types {
        data.push(kind.read(bytes.get(..kind.size())?)?);
        let taken = if types.len() > 1 { kind.size().next_multiple_of(4) } else { kind.size() };
        bytes = bytes.get(taken..)?;
    }
    bytes.is_empty().then_some(data)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn any_type() -> impl Strategy<Value = DataType> {
        prop_oneof![
            Just(DataType::Ipv4Addr),
            Just(DataType::Ipv6Addr),
            Just(DataType::InetProto),
            Just(DataType::InetService),
            Just(DataType::Mark),
        ]
    }

    pub(in super::super) fn any_datum(kind: DataType) -> BoxedStrategy<Datum> {
        match kind {
            DataType::Ipv4Addr => any::<u32>().prop_map(|bits| Datum::Ipv4(bits.into())).boxed(),
            DataType::Ipv6Addr => any::<u128>().prop_map(|bits| Datum::Ipv6(bits.into())).boxed(),
            DataType::InetProto => any::<u8>().prop_map(Datum::Proto).boxed(),
            DataType::InetService => any::<u16>().prop_map(Datum::Port).boxed(),
            DataType::Mark => any::<u32>().prop_map(Datum::Mark).boxed(),
        }
    }

    fn typed_data() -> impl Strategy<Value = (Vec<DataType>, Vec<Datum>)> {
        proptest::collection::vec(any_type(), 1..=FIELDS_MAX).prop_flat_map(|types| {
            let data: Vec<_> = types.iter().map(|kind| any_datum(*kind)).collect();
            (Just(types), data)
        })
    }

    proptest! {
        #[test]
        fn values_survive_the_kernels_layout((types, data) in typed_data()) {
            let bytes = join(&types, data.iter().copied()).unwrap();
            prop_assert_eq!(bytes.len(), total_length(&types) as usize);
            prop_assert_eq!(split(&types, &bytes), Some(data));
            prop_assert_eq!(types_of(type_id(&types).unwrap()), Some(types));
        }

        #[test]
        fn random_bytes_never_panic(
            id in any::<u32>(),
            types in proptest::collection::vec(any_type(), 0..6),
            bytes in proptest::collection::vec(any::<u8>(), 0..90),
        ) {
            types_of(id);
            split(&types, &bytes);
        }
    }

    #[test]
    fn a_concatenation_has_the_number_that_nft_gives_it() {
        let vips = [DataType::Ipv4Addr, DataType::InetProto, DataType::InetService];
        assert_eq!(type_id(&vips), Some(0x730d));
        assert_eq!(total_length(&vips), 12);
        assert_eq!(type_id(&[DataType::Mark; 6]), None);
    }

    #[test]
    fn values_of_other_types_are_refused() {
        assert_eq!(join(&[DataType::Mark], [Datum::Port(1)].into_iter()), None);
        assert_eq!(join(&[DataType::Mark], [].into_iter()), None);
    }
}

//! Kinds of maps.

use director_nft::ir::{DataType, MapData, MapSpec};
use std::time::Duration;

/// How often the kernel frees persistence entries and buckets that timed out.
pub(super) const GC_INTERVAL: Duration = Duration::from_secs(30);

/// From a SYN to the client's proof.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);

/// Most handshakes of each family that are remembered. Beyond it, every packet may hold a cookie.
const MAX_HANDSHAKES: u32 = 65_536;

/// Addresses of a family.
pub(super) fn address_type(ipv6: bool) -> DataType {
    if ipv6 { DataType::Ipv6Addr } else { DataType::Ipv4Addr }
}

/// A map by VIP, protocol and range of ports.
pub(super) fn ranges(address: DataType, data: MapData) -> MapSpec {
    let key = vec![address, DataType::InetProto, DataType::InetService];
    MapSpec { key, data, interval: true, ..MapSpec::default() }
}

/// A map that packets fill, or a set if it leads to nothing.
pub(super) fn dynamic(key: &[DataType], data: &[DataType], size: u32, gc_interval: Duration) -> MapSpec {
    MapSpec {
        key: key.to_vec(),
        data: if data.is_empty() { MapData::None } else { MapData::Values(data.to_vec()) },
        dynamic: true,
        timeout: true,
        gc_interval: Some(gc_interval),
        size: Some(size),
        ..MapSpec::default()
    }
}

/// A map that remembers SYNs to a mark. What timed out takes up room until it is freed.
pub(super) fn handshakes(key: &[DataType]) -> MapSpec {
    dynamic(key, &[DataType::Mark], MAX_HANDSHAKES, HANDSHAKE)
}

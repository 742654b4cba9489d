//! Which addresses an endpoint may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Barred {
    /// Whoever reaches these from inside a cloud gets its credentials; no endpoint lives there.
    #[error("the address {0} is link-local or a cloud's metadata service, which no interceptor is called at")]
    Metadata(IpAddr),
    /// Loopback and private networks, where `allow_private_network = false`.
    #[error("the address {0} is not public, and `allow_private_network` is false")]
    Private(IpAddr),
}

/// Judges an address that is about to be connected to.
pub(super) fn judge(address: IpAddr, allow_private_network: bool) -> Result<(), Barred> {
    let address = embedded(address);
    if is_metadata(address) {
        return Err(Barred::Metadata(address));
    }
    if !allow_private_network && !is_public(address) {
        return Err(Barred::Private(address));
    }
    Ok(())
}

/// The IPv4 address inside an IPv6 one where a translator would take it out: `::ffff:0:0/96` and `64:ff9b::/96`.
fn embedded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.octets() {
            [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
            _ => v6.into(),
        },
        v4 => v4,
    }
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || METADATA_V6.contains(&v6),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b); // RFC 6598
            let this_network = a == 0; // RFC 1122 §3.2.1.3
            !(v4.is_loopback() || v4.is_private() || v4.is_broadcast() || v4.is_multicast() || shared || this_network)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_multicast()),
    }
}

/// Alibaba Cloud's and Azure's services beside 169.254.169.254.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];

/// Amazon's and Google's.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(address: &str, allow_private_network: bool) -> Result<(), Barred> {
        judge(address.parse().unwrap(), allow_private_network)
    }

    #[test]
    fn link_local_and_metadata_addresses_are_never_called() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
        ] {
            assert!(matches!(judged(address, true), Err(Barred::Metadata(_))), "{address}");
        }
    }

    #[test]
    fn private_addresses_are_called_unless_the_operator_says_no() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "fc00::1",
        ] {
            assert_eq!(judged(address, true), Ok(()), "{address}");
            assert!(matches!(judged(address, false), Err(Barred::Private(_))), "{address}");
        }
        for address in ["203.0.113.9", "1.1.1.1", "2606:4700::1111"] {
            assert_eq!(judged(address, false), Ok(()), "{address}");
        }
    }
}

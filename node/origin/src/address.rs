//! Which addresses an origin may have.
//!
//! A customer names an origin; the node connects to it from within the operator's network. So nothing that is private, local or special
//! is dialled unless the operator allows it, whatever a name resolves to today: what is checked is the address that is then dialled.
//!
//! IPv6 is taken the other way round than IPv4: only global unicast (`2000::/3`) may be dialled at all, less what is special within it, so
//! that what is assigned some day is refused until somebody looks at it. Forms that carry an IPv4 address are checked by that address
//! (mapped, NAT64) or refused as a whole (6to4, Teredo).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What the operator allows beyond the public internet.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNet>,
}

impl AddressPolicy {
    /// The public internet, and these networks besides.
    #[must_use]
    pub fn allowing(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { allowed: networks.into_iter().collect() }
    }

    /// Whether an origin may have this address.
    ///
    /// # Errors
    /// What kind of address it is, if it may not.
    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let address = address.to_canonical();
        let class = match address {
            IpAddr::V4(v4) => class_v4(v4),
            IpAddr::V6(v6) => class_v6(v6),
        };
        match class {
            AddressClass::Public => Ok(()),
            _ if self.allowed.iter().any(|network| network.contains(&address)) => Ok(()),
            class => Err(RefusedAddress { address, class }),
        }
    }
}

/// An address that an origin may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {class}, which origins may not have here")]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub class: AddressClass,
}

/// What kind of address one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Of the public internet.
    Public,
    /// No address at all: unspecified, or "this network".
    Unspecified,
    /// Of this machine.
    Loopback,
    /// Of a private network (RFC 1918, RFC 4193).
    Private,
    /// Of this link, among them where clouds keep what machines may know of themselves.
    LinkLocal,
    /// Shared by a carrier (RFC 6598).
    CarrierNat,
    /// Of a group.
    Multicast,
    /// Everybody.
    Broadcast,
    /// For examples and measurements.
    Documentation,
    /// Of a way from one IP to another.
    Transition,
    /// Of a cloud's machinery, at an address that looks public.
    Platform,
    /// Kept for later, or for protocols.
    Reserved,
}

impl AddressClass {
    /// The name in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::CarrierNat => "carrier NAT",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Transition => "transition",
            Self::Platform => "cloud platform",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const fn class_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [0, ..] => AddressClass::Unspecified,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::CarrierNat,
        [169, 254, ..] => AddressClass::LinkLocal,
        // Azure's machines reach their host, and its keys, there.
        [168, 63, 129, 16] => AddressClass::Platform,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => AddressClass::Documentation,
        [192, 0, 0, _] => AddressClass::Reserved,
        [192, 88, 99, _] => AddressClass::Transition,
        [224..=239, ..] => AddressClass::Multicast,
        [255, 255, 255, 255] => AddressClass::Broadcast,
        [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // NAT64 (RFC 6052): who is reached is the IPv4 address in it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => class_v4(embedded(high, low)),
        // Local NAT64, translated and compatible IPv4, 6to4, Teredo: nobody reaches an origin by these.
        [0x64, 0xff9b, 1, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0, 0, 0, 0, 0, 0, ..] | [0x2002, ..] | [0x2001, 0, ..] => {
            AddressClass::Transition
        }
        [0xfc00..=0xfdff, ..] => AddressClass::Private,
        // Site-local as well, which routers still treat as private.
        [0xfe80..=0xfeff, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Documentation,
        // Of the IETF's protocols: benchmarks, ORCHID, AMT, AS112 and others.
        [0x2001, 1..=0x1ff, ..] => AddressClass::Reserved,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

const fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests;

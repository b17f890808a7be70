//! The table of special addresses, by the registries of IANA, at their edges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{AddressClass, AddressPolicy};

/// Addresses that are refused, and as what.
const REFUSED: [(&str, AddressClass); 67] = [
    ("0.0.0.0", AddressClass::Unspecified),
    ("0.255.255.255", AddressClass::Unspecified),
    ("10.0.0.0", AddressClass::Private),
    ("10.255.255.255", AddressClass::Private),
    ("100.64.0.0", AddressClass::CarrierNat),
    ("100.100.100.200", AddressClass::CarrierNat),
    ("100.127.255.255", AddressClass::CarrierNat),
    ("127.0.0.1", AddressClass::Loopback),
    ("127.255.255.255", AddressClass::Loopback),
    ("168.63.129.16", AddressClass::Platform),
    ("169.254.0.0", AddressClass::LinkLocal),
    ("169.254.169.254", AddressClass::LinkLocal),
    ("169.254.255.255", AddressClass::LinkLocal),
    ("172.16.0.0", AddressClass::Private),
    ("172.31.255.255", AddressClass::Private),
    ("192.0.0.1", AddressClass::Reserved),
    ("192.0.0.192", AddressClass::Reserved),
    ("192.0.2.1", AddressClass::Documentation),
    ("192.88.99.1", AddressClass::Transition),
    ("192.168.0.0", AddressClass::Private),
    ("192.168.255.255", AddressClass::Private),
    ("198.18.0.0", AddressClass::Documentation),
    ("198.19.255.255", AddressClass::Documentation),
    ("198.51.100.1", AddressClass::Documentation),
    ("203.0.113.1", AddressClass::Documentation),
    ("224.0.0.1", AddressClass::Multicast),
    ("239.255.255.255", AddressClass::Multicast),
    ("240.0.0.0", AddressClass::Reserved),
    ("255.255.255.254", AddressClass::Reserved),
    ("255.255.255.255", AddressClass::Broadcast),
    ("::", AddressClass::Unspecified),
    ("::1", AddressClass::Loopback),
    ("::2", AddressClass::Transition),
    ("::127.0.0.1", AddressClass::Transition),
    ("::8.8.8.8", AddressClass::Transition),
    ("::ffff:127.0.0.1", AddressClass::Loopback),
    ("::ffff:10.1.2.3", AddressClass::Private),
    ("::ffff:169.254.169.254", AddressClass::LinkLocal),
    ("::ffff:a9fe:a9fe", AddressClass::LinkLocal),
    ("::ffff:100.64.0.1", AddressClass::CarrierNat),
    ("::ffff:224.0.0.1", AddressClass::Multicast),
    ("::ffff:0.0.0.0", AddressClass::Unspecified),
    ("::ffff:0:127.0.0.1", AddressClass::Transition),
    ("64:ff9b::127.0.0.1", AddressClass::Loopback),
    ("64:ff9b::10.0.0.1", AddressClass::Private),
    ("64:ff9b::169.254.169.254", AddressClass::LinkLocal),
    ("64:ff9b:1::1", AddressClass::Transition),
    ("64:ff9b:2::1", AddressClass::Reserved),
    ("100::1", AddressClass::Reserved),
    ("1fff:ffff::1", AddressClass::Reserved),
    ("2001::1", AddressClass::Transition),
    ("2001:2::1", AddressClass::Reserved),
    ("2001:1ff::1", AddressClass::Reserved),
    ("2001:db8::1", AddressClass::Documentation),
    ("2002:7f00:1::1", AddressClass::Transition),
    ("2002:808:808::1", AddressClass::Transition),
    ("3fff::1", AddressClass::Documentation),
    ("3fff:fff:ffff::1", AddressClass::Documentation),
    ("4000::1", AddressClass::Reserved),
    ("5f00::1", AddressClass::Reserved),
    ("fc00::1", AddressClass::Private),
    ("fd00:ec2::254", AddressClass::Private),
    ("fe80::1", AddressClass::LinkLocal),
    ("febf:ffff::1", AddressClass::LinkLocal),
    ("fec0::1", AddressClass::LinkLocal),
    ("ff02::1", AddressClass::Multicast),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Multicast),
];

/// Neighbours of those, which are public.
const PUBLIC: [&str; 32] = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.101.0",
    "203.0.112.255",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2003::1",
    "3ffe::1",
];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

#[test]
fn special_addresses_are_refused_by_what_they_are() {
    let policy = AddressPolicy::default();
    for (text, class) in REFUSED {
        match policy.check(address(text)) {
            Err(refused) => assert_eq!(refused.class, class, "{text}"),
            Ok(()) => panic!("{text} was let through"),
        }
    }
}

#[test]
fn public_addresses_are_let_through() {
    let policy = AddressPolicy::default();
    for text in PUBLIC {
        assert_eq!(policy.check(address(text)), Ok(()), "{text}");
    }
}

#[test]
fn the_operator_allows_networks_and_nothing_beside_them() {
    let policy = AddressPolicy::allowing(["10.1.0.0/16", "fd00:1::/32"].map(|net| net.parse().expect("a network")));
    for text in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "8.8.8.8"] {
        assert_eq!(policy.check(address(text)), Ok(()), "{text}");
    }
    for text in ["10.2.0.1", "::ffff:10.2.0.1", "127.0.0.1", "fd00:2::5", "169.254.169.254", "64:ff9b::10.1.2.3"] {
        assert!(policy.check(address(text)).is_err(), "{text} was let through");
    }
}

proptest! {
    #[test]
    fn an_ipv4_address_is_judged_alike_in_every_form(bits in any::<u32>()) {
        let policy = AddressPolicy::default();
        let plain = Ipv4Addr::from_bits(bits);
        let class = |address: IpAddr| policy.check(address).map_err(|refused| refused.class);
        let mapped = IpAddr::V6(plain.to_ipv6_mapped());
        let [a, b, c, d] = plain.octets();
        let nat64 = address(&format!("64:ff9b::{a}.{b}.{c}.{d}"));
        prop_assert_eq!(class(plain.into()), class(mapped));
        prop_assert_eq!(class(plain.into()), class(nat64));
        prop_assert!(class(IpAddr::V6(plain.to_ipv6_compatible())).is_err());
    }

    #[test]
    fn nothing_outside_global_unicast_is_dialled_that_carries_no_ipv4_address(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        let carries = matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0xffff, ..]);
        let outside = bits >> 125 != 1;
        prop_assert!(carries || !outside || AddressPolicy::default().check(address.into()).is_err());
    }
}

//! What signed addresses let in, and that nothing else does.

use std::net::{IpAddr, Ipv4Addr};

use ncore_model::ClientId;
use proptest::prelude::*;

use super::{Grant, Key, Presented, Reach, SignedUrlError, is_signed, parse_network};

const KEY: Key = [7; 32];
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

fn grant(reach: Reach, network: Option<&str>) -> Grant {
    let network = network.map(|network| parse_network(network).expect("a network"));
    Grant { client: ClientId::from_text("cl_1"), reach, expires_at_s: 1_000, network }
}

fn check(query: &str, path: &str, remote: IpAddr, now_s: u64) -> Result<(), SignedUrlError> {
    Presented::parse(query)?.check(&KEY, path, remote, now_s)
}

/// The recipe of the documentation, spelled out: another program that follows it gets this.
#[test]
fn the_recipe() {
    let grant = grant(Reach::Path("restricted/a b.webm".into()), Some("203.0.113.0/24"));
    let message = "ncore-url-1\ncl_1\n1000\n203.0.113.0/24\npath\nrestricted/a b.webm";
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &KEY);
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    let signature = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, tag);
    assert_eq!(
        grant.query(&KEY),
        format!("nc_client=cl_1&nc_expires=1000&nc_net=203.0.113.0%2F24&nc_signature={signature}").replace("%2F", "/")
    );
}

#[test]
fn what_it_lets_in() {
    let path = || Reach::Path("restricted/a".into());
    let prefix = |text: &str| Reach::prefix(text).expect("a prefix");
    let mapped: IpAddr = "::ffff:203.0.113.9".parse().expect("an address");
    let cases = [
        (grant(path(), None), "restricted/a", HERE, 999, Ok(())),
        (grant(path(), None), "restricted/a", HERE, 1_000, Err(SignedUrlError::Expired)),
        (grant(path(), None), "restricted/b", HERE, 999, Err(SignedUrlError::Signature)),
        (grant(path(), Some("203.0.113.0/24")), "restricted/a", HERE, 999, Ok(())),
        (grant(path(), Some("203.0.113.0/24")), "restricted/a", mapped, 999, Ok(())),
        (grant(path(), Some("203.0.113.9")), "restricted/a", HERE, 999, Ok(())),
        (grant(path(), Some("203.0.114.0/24")), "restricted/a", HERE, 999, Err(SignedUrlError::OtherNetwork)),
        (grant(path(), Some("2001:db8::/32")), "restricted/a", HERE, 999, Err(SignedUrlError::OtherNetwork)),
        (grant(prefix("restricted/"), None), "restricted/x/y", HERE, 999, Ok(())),
        (grant(prefix(""), None), "anything", HERE, 999, Ok(())),
        (grant(prefix("restricted/films/"), None), "restricted/films2/x", HERE, 999, Err(SignedUrlError::OtherAsset)),
    ];
    for (grant, path, remote, now_s, expected) in cases {
        let query = grant.query(&KEY);
        assert!(is_signed(&query));
        assert_eq!(check(&query, path, remote, now_s), expected, "{query} at {path}");
        assert_eq!(check(&format!("v=1&{query}&x=%zz"), path, remote, now_s), expected, "other fields are the page's own");
        let other_key = Presented::parse(&query).expect("parses").check(&[8; 32], path, remote, now_s);
        assert_eq!(other_key, Err(SignedUrlError::Signature));
    }
    for text in ["a", "/", "a//", "../", "a/../", "a\n/"] {
        assert_eq!(Reach::prefix(text), None, "{text:?}");
    }
}

#[test]
fn what_is_malformed() {
    let good = grant(Reach::Path("a".into()), None).query(&KEY);
    for bad in [
        good.replace("nc_expires", "expires"),
        good.replace("nc_client", "client"),
        format!("{good}&nc_expires=1000"),
        format!("{good}&nc_path=a"),
        format!("{good}&nc_net=%"),
        format!("{good}&nc_net=a%0Ab"),
        format!("{good}="),
    ] {
        let malformed = check(&bad, "a", HERE, 999);
        assert!(matches!(malformed, Err(SignedUrlError::Malformed(_))), "{bad}: {malformed:?}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,6}(/[a-z%+&= \u{fc}]{1,6}){0,3}", Just("restricted/a".to_owned())]
}

proptest! {
    /// Whatever one grant lets in, it lets in because it says so; and a change of a byte of its query lets in nothing more.
    #[test]
    fn a_changed_address_lets_nobody_in(path in texts(), other in texts(), at: prop::sample::Index, byte in 0x20u8..0x7f, folder: bool) {
        let reach = match path.rsplit_once('/').filter(|_| folder) {
            Some((folder, _)) => Reach::prefix(&format!("{folder}/")).expect("a prefix"),
            None => Reach::Path(path.clone()),
        };
        let is_covered = reach.covers(&other);
        let query = grant(reach, Some("203.0.113.0/24")).query(&KEY);
        prop_assert_eq!(check(&query, &path, HERE, 999), Ok(()));
        prop_assert_eq!(check(&query, &other, HERE, 999).is_ok(), is_covered);

        let mut changed = query.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        let changed = String::from_utf8(changed).expect("ASCII");
        if check(&changed, &path, HERE, 999).is_ok() {
            // The same fields in another spelling, and nothing else.
            let (one, two) = (Presented::parse(&query).expect("parses"), Presented::parse(&changed).expect("parses"));
            prop_assert_eq!((one.client, one.expires, one.network, one.prefix), (two.client, two.expires, two.network, two.prefix));
            prop_assert_eq!(one.signature, two.signature);
        }
    }

    /// Nothing that anybody sends is a panic, or gets in without the key.
    #[test]
    fn nobody_gets_in_without_the_key(query in "(&?(nc_(client|expires|net|prefix|signature)|x)=[A-Za-z0-9%+/_.:-]{0,44}){0,7}", path in texts()) {
        prop_assert!(check(&query, &path, HERE, 0).is_err());
    }

    #[test]
    fn any_text_is_read_without_a_panic(query: String) {
        let _ = Presented::parse(&query);
    }
}

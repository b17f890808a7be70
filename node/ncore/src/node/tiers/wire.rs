//! Requests and heads of responses as messages.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    response::{self, Response},
};
use ncore_proto::tiers::v1::{AskRequest, Field, Head};
use ncore_serving::{
    RequestId,
    zones::{Handed, Source, Tier, TierAsk},
};

/// The longest message: the head of a response, or a piece of its content.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The most nodes on a way, and the longest that each says of itself.
const TOLD_MAX: usize = 4;
const TOLD_BYTES_MAX: usize = 256;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) fn ask_to(ask: TierAsk) -> AskRequest {
    let TierAsk { zone, zone_host, tier, revision, method, target, headers, host, remote, secure, version, id, informational: _ } = ask;
    AskRequest {
        zone,
        zone_host: zone_host.into(),
        tier: tier_to(tier),
        revision,
        method: method.as_str().to_owned(),
        target: target.as_str().to_owned(),
        fields: fields_to(&headers),
        host: host.map(|host| host.as_bytes().to_vec().into()),
        remote: remote.to_string(),
        secure,
        version: match version {
            Version::HTTP_10 => 10,
            Version::HTTP_2 => 20,
            Version::HTTP_3 => 30,
            _ => 11,
        },
        request_id: id.as_str().to_owned(),
    }
}

/// `None` for what no node asks.
pub(super) fn ask_of(request: AskRequest) -> Option<TierAsk> {
    let AskRequest { zone, zone_host, tier, revision, method, target, fields, host, remote, secure, version, request_id } = request;
    let tier = tier_of(tier).filter(|tier| matches!(tier, Tier::Region | Tier::Shield))?;
    let id = RequestId::of(&[(X_REQUEST_ID, HeaderValue::try_from(request_id).ok()?)].into_iter().collect());
    Some(TierAsk {
        zone,
        zone_host: zone_host.into(),
        tier,
        revision,
        method: [http::Method::GET, http::Method::HEAD].into_iter().find(|known| known.as_str() == method)?,
        target: target.parse().ok()?,
        headers: fields_of(fields)?,
        host: host.map(HeaderValue::from_maybe_shared).transpose().ok()?,
        remote: remote.parse().ok()?,
        secure,
        version: match version {
            10 => Version::HTTP_10,
            20 => Version::HTTP_2,
            30 => Version::HTTP_3,
            _ => Version::HTTP_11,
        },
        id,
        informational: None,
    })
}

pub(super) fn head_to(head: &response::Parts, handed: Handed) -> Head {
    let Handed { fill, source, held } = handed;
    Head {
        status: head.status.as_u16().into(),
        fields: fields_to(&head.headers),
        fill,
        from: tier_to(source.tier),
        node: source.node.unwrap_or(0),
        told: source.told,
        held_ms: u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
    }
}

/// `None` for what is no head.
pub(super) fn head_of(head: Head) -> Option<(response::Parts, Handed)> {
    let Head { status, fields, fill, from, node, told, held_ms } = head;
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = u16::try_from(status).ok()?.try_into().ok()?;
    parts.headers = fields_of(fields)?;
    // What is said for viewers is not worth a response.
    let told = if told.len() <= TOLD_MAX && told.iter().all(|line| line.len() <= TOLD_BYTES_MAX) { told } else { Vec::new() };
    let source = Source { tier: tier_of(from)?, node: (node != 0).then_some(node), told };
    Some((parts, Handed { fill, source, held: Duration::from_millis(held_ms) }))
}

pub(super) fn fields_to(headers: &HeaderMap) -> Vec<Field> {
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| Field { name: name.as_str().to_owned(), value: value.as_bytes().to_vec().into() };
    headers.iter().map(field).collect()
}

pub(super) fn fields_of(fields: Vec<Field>) -> Option<HeaderMap> {
    // A message can have more of them than there is room for in any map.
    let mut headers = HeaderMap::try_with_capacity(fields.len()).ok()?;
    for Field { name, value } in fields {
        headers.try_append(HeaderName::try_from(name).ok()?, HeaderValue::from_maybe_shared(value).ok()?).ok()?;
    }
    Some(headers)
}

const fn tier_to(tier: Tier) -> u32 {
    match tier {
        Tier::Own => 0,
        Tier::Region => 1,
        Tier::Shield => 2,
        Tier::Origin => 3,
    }
}

fn tier_of(number: u32) -> Option<Tier> {
    Tier::ALL.into_iter().find(|tier| tier_to(*tier) == number)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv6Addr},
        time::Duration,
    };

    use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
    use ncore_proto::tiers::v1::Field;
    use ncore_serving::{
        RequestId,
        zones::{Handed, Source, Tier, TierAsk},
    };

    use super::{MESSAGE_BYTES_MAX, ask_of, ask_to, fields_of, head_of, head_to};

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("accept", HeaderValue::from_static("text/html"));
        headers.append("accept", HeaderValue::from_static("*/*"));
        headers.append("x-own", HeaderValue::from_bytes(b"\xe4").expect("opaque"));
        headers
    }

    fn ask() -> TierAsk {
        TierAsk {
            zone: 7,
            zone_host: "zone.test".into(),
            tier: Tier::Shield,
            revision: 8,
            method: Method::HEAD,
            target: "/a?b".parse().expect("a target"),
            headers: headers(),
            host: Some(HeaderValue::from_static("Zone.test:80")),
            remote: IpAddr::V6(Ipv6Addr::LOCALHOST),
            secure: true,
            version: Version::HTTP_3,
            id: RequestId::generate(),
            informational: None,
        }
    }

    #[test]
    fn nothing_is_lost_on_the_wire() {
        let wire = ask_to(ask());
        assert_eq!(ask_to(ask_of(wire.clone()).expect("a request")), wire);
        assert_eq!(ask_of(wire).expect("a request").headers, headers());
        let (mut head, ()) = Response::builder().status(404).body(()).expect("a response").into_parts();
        head.headers = headers();
        let told = vec!["ncore/shield;hit".to_owned(), "ncore/region;fwd=uri-miss".to_owned()];
        for node in [Some(5), None] {
            let source = Source { tier: Tier::Shield, node, told: told.clone() };
            let handed = Handed { fill: 9, source, held: Duration::from_millis(1_234) };
            let (found, back) = head_of(head_to(&head, handed.clone())).expect("a head");
            assert_eq!((found.status, &found.headers, back), (head.status, &head.headers, handed));
        }
    }

    /// What another node says of itself is bounded here, and no reason to do without its answer.
    #[test]
    fn too_much_of_what_is_said_is_left_out() {
        let (head, ()) = Response::builder().status(200).body(()).expect("a response").into_parts();
        for told in [vec!["x".to_owned(); 5], vec!["x".repeat(257)]] {
            let source = Source { tier: Tier::Own, node: None, told };
            let (_, back) = head_of(head_to(&head, Handed { fill: 0, source, held: Duration::ZERO })).expect("a head");
            assert_eq!(back.source.told, [""; 0]);
        }
    }

    #[test]
    fn what_no_node_asks_is_refused() {
        let wire = || ask_to(ask());
        let mut cases = [wire(), wire(), wire(), wire()];
        cases[0].method = "POST".to_owned();
        cases[1].tier = 0;
        cases[2].remote = "nobody".to_owned();
        cases[3].fields.push(Field { name: "a b".to_owned(), value: "x".into() });
        for wire in cases {
            assert!(ask_of(wire.clone()).is_none(), "{wire:?}");
        }
        assert!(fields_of(vec![Field { name: "a".to_owned(), value: "x\ny".into() }]).is_none());
        assert!(HeaderName::try_from("a b").is_err());
        let field = Field { name: "a".to_owned(), value: "".into() };
        assert!(fields_of(vec![field; MESSAGE_BYTES_MAX / 7]).is_none(), "as many as fit into a message");
    }
}

//! What nodes ask each other of zones, and what they answer: messages that are none are refused, and others say the same when they are sent on.
#![no_main]

#[path = "../../../node/ncore/src/node/tiers/wire.rs"]
#[allow(dead_code, reason = "the node sends them as well")]
mod wire;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ncore_proto::tiers::v1::{AskRequest, Field, Head};
use prost::Message;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Ask(&'a [u8]),
    Head(&'a [u8]),
    /// As another node would send it, but for what is odd.
    Asked { target: &'a str, tier: u8, fields: Vec<(&'a str, &'a [u8])>, host: Option<&'a [u8]>, remote: [u8; 4], version: u8, id: &'a str },
    /// The same of what it answers: whose cache it was, who says so, and for how long it had the request.
    Told { status: u16, fields: Vec<(&'a str, &'a [u8])>, fill: u64, from: u8, node: u64, told: Vec<&'a str>, held_ms: u64 },
    /// As many fields as a message can have.
    Fields(u32),
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Ask(bytes) => asked(AskRequest::decode(bytes).ok()),
    Input::Head(bytes) => headed(Head::decode(bytes).ok()),
    Input::Asked { target, tier, fields, host, remote, version, id } => asked(Some(AskRequest {
        zone: 1,
        zone_host: "a.test".to_owned(),
        tier: tier.into(),
        revision: 1,
        method: "GET".to_owned(),
        target: target.to_owned(),
        fields: fields_of(fields),
        host: host.map(|host| host.to_vec().into()),
        remote: std::net::IpAddr::from(remote).to_string(),
        secure: true,
        version: version.into(),
        request_id: id.to_owned(),
    })),
    Input::Told { status, fields, fill, from, node, told, held_ms } => headed(Some(Head {
        status: status.into(),
        fields: fields_of(fields),
        fill,
        from: from.into(),
        node,
        told: told.into_iter().map(str::to_owned).collect(),
        held_ms,
    })),
    Input::Fields(count) => {
        let count = count as usize % (wire::MESSAGE_BYTES_MAX / 4);
        let field = Field { name: "a".to_owned(), value: "".into() };
        headed(Some(Head { status: 200, fields: vec![field; count], fill: 1, ..Head::default() }));
    }
});

fn fields_of(fields: Vec<(&str, &[u8])>) -> Vec<Field> {
    fields.into_iter().map(|(name, value)| Field { name: name.to_owned(), value: value.to_vec().into() }).collect()
}

fn asked(request: Option<AskRequest>) {
    let Some(ask) = request.and_then(wire::ask_of) else { return };
    assert!(matches!(ask.method, http::Method::GET | http::Method::HEAD));
    let again = wire::ask_to(ask);
    let ask = wire::ask_of(again.clone()).expect("it was one");
    assert_eq!(wire::ask_to(ask), again);
}

fn headed(head: Option<Head>) {
    let Some((parts, handed)) = head.and_then(wire::head_of) else { return };
    let again = wire::head_to(&parts, handed);
    let (parts, handed) = wire::head_of(again.clone()).expect("it was one");
    assert_eq!(wire::head_to(&parts, handed), again);
}

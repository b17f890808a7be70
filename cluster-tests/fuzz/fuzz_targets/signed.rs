//! Signed addresses: none that was not signed is let in, and one that was is let in for what it was signed for and for nothing else.
#![no_main]

mod node;
#[allow(dead_code, unused, reason = "the tests of the domain use more of it")]
#[path = "../../../node/domain/tests/rig/mod.rs"]
mod rig;
#[allow(dead_code, unused, reason = "the tests of the API use more of it")]
#[path = "../../../node/api/tests/it/site.rs"]
mod site;

use std::{net::IpAddr, sync::LazyLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ncore_domain::Reach;

use crate::node::Node;


#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// A query as somebody made it up.
    Made { query: &'a str, path: &'a str, remote: [u8; 4] },
    /// A good one, for `path`, presented for `other` with `bytes` of it put over its own from `at` on.
    Changed { path: &'a str, other: &'a str, at: u16, bytes: &'a str },
}

static NODE: LazyLock<Node> = LazyLock::new(Node::new);

fuzz_target!(|input: Input<'_>| {
    let owner = Some(NODE.client.as_str());
    let signer = NODE.domain().signer();
    match input {
        Input::Made { query, path, remote } => {
            let checked = NODE.block_on(signer.check(query, path, owner, IpAddr::from(remote)));
            assert!(checked.is_err(), "{query:?} opens {path:?}");
        }
        Input::Changed { path, other, at, bytes } => {
            if ncore_model::AssetPath::check(path).is_err() {
                return;
            }
            let signed = NODE.block_on(signer.sign(&NODE.client, Reach::Path(path.to_owned()), 60, None));
            let Ok(signed) = signed else { return };
            let query = signed.value.query.clone();
            let presented = over(&query, usize::from(at), bytes);
            let checked = NODE.block_on(signer.check(&presented, other, owner, IpAddr::from([127, 0, 0, 1])));
            if checked.is_ok() {
                assert_eq!(path, other, "{presented:?}");
            } else {
                assert!(presented != query || path != other, "a good one is refused: {presented:?}");
            }
        }
    }
});

/// `text` with `bytes` over its own from `at` on.
fn over(text: &str, at: usize, bytes: &str) -> String {
    let at = at.min(text.len());
    let end = (at + bytes.len()).min(text.len());
    format!("{}{bytes}{}", &text[..at], &text[end..])
}

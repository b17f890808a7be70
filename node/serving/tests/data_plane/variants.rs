//! Assets in content codings. What stands for a variant here are other bytes, since to serving they are no more than that.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use http::{Method, StatusCode};
use ncore_cache::content_coding::Coding;
use ncore_serving::AssetEntry;

use crate::{
    client::{Answer, Http1},
    node::{Kept, Node, bytes, eventually},
};

const SIZE: usize = 50_000;
const ADDRESS: &str = "/assets/text/a";

/// A node with an asset that has a variant in brotli and in gzip.
struct Scene {
    node: Node,
    content: Bytes,
    br: (Bytes, String),
    gzip: (Bytes, String),
    own: String,
}

impl Scene {
    fn new() -> Self {
        let node = Node::start();
        let content = bytes(SIZE);
        let asset = node.world.put("text/a", &content, Kept::Disk);
        let put = |coding, length| {
            let bytes = bytes(SIZE + length).slice(SIZE..);
            let variant = node.world.put_variant(&asset, coding, &bytes, Kept::Disk);
            (bytes, tag(&variant, &asset, coding))
        };
        let (br, gzip) = (put(Coding::Br, 7_000), put(Coding::Gzip, 9_000));
        let own = format!("\"{}\"", hex(&asset.facts().sha256));
        Self { node, content, br, gzip, own }
    }

    async fn ask(&self, method: Method, fields: &[(&str, &str)]) -> Answer {
        Http1::connect(self.node.http).await.ask(method, ADDRESS, fields).await
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tag(variant: &Arc<AssetEntry>, asset: &AssetEntry, coding: Coding) -> String {
    format!("\"{}-{}.{}\"", hex(&asset.facts().sha256), coding.as_str(), hex(&variant.facts().sha256[..8]))
}

/// Its bytes, its tag and its coding.
type Representation<'a> = (&'a Bytes, &'a str, &'a str);

/// The tag of other bytes of the same content in the same coding.
fn made_elsewhere(tag: &str) -> String {
    let (start, _) = tag.rsplit_once('.').expect("the tag of a variant");
    format!("{start}.0123456789abcdef\"")
}

/// The answer is this representation, whole or this part of it.
fn assert_is(answer: &Answer, status: u16, body: &[u8], tag: &str, coding: &str, context: &str) {
    assert_eq!(answer.status.as_u16(), status, "{context}: {answer:?}");
    assert_eq!(answer.header("etag"), tag, "{context}");
    assert_eq!(answer.header("content-encoding"), coding, "{context}");
    assert_eq!(answer.header("vary"), "Accept-Encoding", "{context}");
    assert!(answer.body == body, "{context}: {} bytes, not {}", answer.body.len(), body.len());
}

#[tokio::test]
async fn what_is_accepted_decides() {
    let scene = Scene::new();
    let (own, br, gzip) = (
        (&scene.content, scene.own.as_str(), ""),
        (&scene.br.0, scene.br.1.as_str(), "br"),
        (&scene.gzip.0, scene.gzip.1.as_str(), "gzip"),
    );
    let cases: [(&str, Representation<'_>, &[Coding]); 11] = [
        ("", own, &[]),
        ("gzip, deflate, br", br, &[]),
        ("gzip", gzip, &[]),
        ("br;q=0.5, gzip", gzip, &[]),
        ("br;q=0.5, identity", own, &[]),
        ("*", br, &[]),
        ("deflate", own, &[]),
        ("identity;q=0", own, &[]),
        // The best is not here: it is asked for, and the next best is sent.
        ("zstd", own, &[Coding::Zstd]),
        ("zstd, gzip;q=0.9", gzip, &[Coding::Zstd]),
        ("gzip;q=0.9, br;q=0, zstd", gzip, &[Coding::Zstd]),
    ];
    for (accepted, (body, tag, coding), wishes) in cases {
        let fields: &[_] = if accepted.is_empty() { &[] } else { &[("accept-encoding", accepted)] };
        let answer = scene.ask(Method::GET, fields).await;
        assert_is(&answer, 200, body, tag, coding, &format!("{fields:?}"));
        assert_eq!(answer.header("content-length"), body.len().to_string());
        assert_eq!((answer.header("content-type"), answer.header("x-cache")), ("text/plain", "HIT"));
        let digest = answer.header("repr-digest").to_owned();
        assert_eq!(scene.node.world.wishes(), wishes, "{fields:?}");
        let head = scene.ask(Method::HEAD, fields).await;
        assert_is(&head, 200, b"", tag, coding, &format!("HEAD {fields:?}"));
        assert_eq!((head.header("content-length"), head.header("repr-digest")), (body.len().to_string().as_str(), digest.as_str()));
        scene.node.world.wishes();
    }
}

#[tokio::test]
async fn what_cannot_be_coded_is_left_alone() {
    let node = Node::start();
    let mut client = Http1::connect(node.http).await;
    for (path, size) in [("video", SIZE), ("text/short", 1_023), ("text/empty", 0)] {
        node.world.put(path, &bytes(size), Kept::Memory);
        let answer = client.get(&format!("/assets/{path}"), &[("accept-encoding", "br, gzip")]).await;
        assert_eq!((answer.status, answer.header("vary"), answer.header("content-encoding")), (StatusCode::OK, "", ""), "{path}");
    }
    assert!(node.world.wishes().is_empty());
}

#[tokio::test]
async fn conditions_are_about_every_representation() {
    let scene = Scene::new();
    let (own, br, gzip) = (scene.own.as_str(), scene.br.1.as_str(), scene.gzip.1.as_str());
    // As another node has made it, or this one before.
    let elsewhere = made_elsewhere(br);
    let weak = format!("W/{br}");
    let several = format!("\"other\", {own}, {br}");
    let cases: [(&str, &str, u16, &str); 14] = [
        ("br", br, 304, br),
        ("br", &weak, 304, br),
        ("br", own, 304, own),
        ("gzip, br", gzip, 304, gzip),
        ("br", &elsewhere, 304, &elsewhere),
        ("br", &several, 304, own),
        ("br", "*", 304, br),
        ("", "*", 304, own),
        ("", own, 304, own),
        // What the client does not take any more is of no use to it.
        ("gzip", br, 200, gzip),
        ("identity", br, 200, own),
        ("br;q=0, *", &elsewhere, 200, gzip),
        ("br", "\"other\"", 200, br),
        ("br", "\"\"", 200, br),
    ];
    for (accepted, tags, status, expected) in cases {
        let answer = scene.ask(Method::GET, &[("accept-encoding", accepted), ("if-none-match", tags)]).await;
        let context = format!("{accepted:?} {tags}");
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, expected), "{context}");
        assert_eq!(answer.header("vary"), "Accept-Encoding", "{context}");
        assert_eq!(answer.header("repr-digest").is_empty(), expected == elsewhere, "{context}");
    }
    let cases: [(&str, &str, u16, &str); 7] = [
        ("br", br, 200, br),
        ("br, gzip", gzip, 200, gzip),
        ("br", own, 200, own),
        ("br", "*", 200, br),
        ("gzip", br, 412, ""),
        ("br", &weak, 412, ""),
        ("br", &elsewhere, 412, ""),
    ];
    for (accepted, tags, status, expected) in cases {
        let answer = scene.ask(Method::GET, &[("accept-encoding", accepted), ("if-match", tags)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, expected), "If-Match {accepted:?} {tags}");
    }
}

#[tokio::test]
async fn ranges_are_of_what_the_client_has() {
    let scene = Scene::new();
    let (own, br) = (scene.own.as_str(), scene.br.1.as_str());
    let both = ("accept-encoding", "br, gzip");
    let part = |content: &Bytes| content.slice(100..200);
    let get = |fields: Vec<(&'static str, String)>| {
        let scene = &scene;
        async move {
            let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            fields.push(("range", "bytes=100-199"));
            scene.ask(Method::GET, &fields).await
        }
    };
    let with = |name, value: &str| vec![(both.0, both.1.to_owned()), (name, value.to_owned())];

    let answer = get(vec![(both.0, both.1.to_owned())]).await;
    assert_is(&answer, 206, &part(&scene.content), own, "", "a range alone");
    let answer = get(with("if-range", own)).await;
    assert_is(&answer, 206, &part(&scene.content), own, "", "of the content as it is");
    let answer = get(with("if-range", br)).await;
    assert_is(&answer, 206, &part(&scene.br.0), br, "br", "of the variant");
    assert_eq!(answer.header("content-range"), "bytes 100-199/7000");
    let answer = get(with("if-match", br)).await;
    assert_is(&answer, 206, &part(&scene.br.0), br, "br", "of the variant that must be");
    for gone in [made_elsewhere(br), "\"other\"".to_owned(), crate::node::MODIFIED.to_owned()] {
        let answer = get(with("if-range", &gone)).await;
        assert_is(&answer, 200, &scene.br.0, br, "br", &format!("of {gone}, which is not here"));
    }
    // Without codings a date is as good as ever.
    let answer = get(vec![("if-range", crate::node::MODIFIED.to_owned())]).await;
    assert_is(&answer, 206, &part(&scene.content), own, "", "by a date");

    let beyond = [both, ("if-range", br), ("range", "bytes=7000-")];
    let answer = scene.ask(Method::GET, &beyond).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-range")), (416, "bytes */7000"));
    let several = [both, ("if-range", br), ("range", "bytes=0-9,1000-1009")];
    assert_is(&scene.ask(Method::GET, &several).await, 200, &scene.br.0, br, "br", "several ranges of a variant");
    let several = [both, ("range", "bytes=0-9,1000-1009")];
    let answer = scene.ask(Method::GET, &several).await;
    assert!(answer.status == 206 && answer.header("content-type").starts_with("multipart/byteranges"), "{answer:?}");
}

#[tokio::test]
async fn a_variant_that_cannot_be_read_is_no_reason_to_fail() {
    let scene = Scene::new();
    let asset = scene.node.world.put("text/a", &scene.content, Kept::Memory);
    for (coding, kept) in [(Coding::Br, Kept::Corrupt), (Coding::Gzip, Kept::LostFrom(0))] {
        scene.node.world.put_variant(&asset, coding, &scene.br.0, kept);
        let answer = scene.ask(Method::GET, &[("accept-encoding", coding.as_str())]).await;
        assert_is(&answer, 200, &scene.content, &scene.own, "", coding.as_str());
    }
    assert_eq!(scene.node.metrics.hits.load(Ordering::Relaxed), 2, "each counts once");
}

#[tokio::test]
async fn the_bytes_that_are_sent_are_counted() {
    let scene = Scene::new();
    scene.ask(Method::GET, &[("accept-encoding", "br")]).await;
    eventually("the body is counted", || scene.node.metrics.bytes_out.load(Ordering::Relaxed) == 7_000).await;
}

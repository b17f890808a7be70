//! Content that is kept in parts: what is asked for of it, what is put together, and what never is.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use http::Method;
use proptest::{
    prelude::{Strategy, any, prop, prop_oneof},
    test_runner::{Config, TestRunner},
};
use tokio::sync::Semaphore;

use crate::{
    origin::Reply,
    site::{Answer, Fields, Site, eventually},
};

const MIB: usize = 1 << 20;

/// Bytes of a version, of which no two slices are alike, nor the same slice of two versions.
fn bytes(version: usize, length: usize) -> Bytes {
    let mixed = |number: u64| (number ^ (number >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let salt = mixed(version as u64 + 1);
    (0..length as u64).map(|at| (mixed(at.wrapping_add(salt)) >> 40).to_le_bytes()[0]).collect()
}

fn tagged(content: &Bytes, tag: &str) -> Reply {
    Reply::new(200, content.clone()).cached("max-age=60").field("etag", tag).ranged()
}

/// From here on the origin answers with `reply`.
fn change(site: &Site, reply: Reply) {
    site.origin.reply("/a", reply);
    site.origin.skip("/a");
}

async fn range(site: &Site, range: &str) -> Answer {
    site.get("/a", &[("range", range)]).await
}

/// Waits until all that has come is kept, which may be a moment after its viewer has it.
async fn kept(site: &Site) {
    eventually("all to be kept", || site.metrics.zone_asks.load(Ordering::Relaxed) == 0).await;
}

/// The ranges that the origin was asked for, with the versions that they were to be of.
fn asked(site: &Site) -> Vec<(String, String)> {
    site.origin.seen().iter().map(|seen| (seen.header("range").to_owned(), seen.header("if-range").to_owned())).collect()
}

fn asks(ranges: &[(&str, &str)]) -> Vec<(String, String)> {
    ranges.iter().map(|(range, version)| ((*range).to_owned(), (*version).to_owned())).collect()
}

#[tokio::test]
async fn the_slices_of_a_range_are_asked_for_and_kept() {
    let site = Site::start().await;
    let content = bytes(0, 5 * MIB + 5);
    site.origin.reply("/a", tagged(&content, "\"a\""));
    let part = range(&site, "bytes=1048586-1048595").await;
    kept(&site).await;
    assert_eq!((part.status.as_u16(), part.cache(), &part.body), (206, "MISS", &content.slice(MIB + 10..MIB + 20)));
    assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 1048586-1048595/5242885", "10"));
    let part = range(&site, "bytes=2097151-2097151").await;
    kept(&site).await;
    assert_eq!((part.status.as_u16(), part.cache(), &part.body), (206, "HIT", &content.slice(2 * MIB - 1..2 * MIB)));
    // A slice that is there, and one that is not.
    let part = range(&site, "bytes=2097151-2097152").await;
    kept(&site).await;
    assert_eq!((part.status.as_u16(), part.cache(), &part.body), (206, "MISS", &content.slice(2 * MIB - 1..2 * MIB + 1)));
    assert!(part.header("cache-status").starts_with("ncore;fwd=partial;stored"), "{}", part.header("cache-status"));
    let nothing = range(&site, "bytes=5242885-").await;
    kept(&site).await;
    assert_eq!((nothing.status.as_u16(), nothing.cache(), nothing.header("content-range")), (416, "HIT", "bytes */5242885"));
    let head = site.ask(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status.as_u16(), head.cache(), head.header("content-length")), (200, "HIT", "5242885"));
    let both = range(&site, "bytes=1048576-1048577,3145727-3145727").await;
    kept(&site).await;
    assert_eq!((both.status.as_u16(), both.cache(), both.whole), (206, "HIT", true));
    assert_eq!(asked(&site), asks(&[("bytes=1048576-2097151", ""), ("bytes=2097152-3145727", "\"a\"")]));
    // All of it: what is there is not asked for again.
    for cache in ["MISS", "HIT"] {
        let whole = site.get("/a", &[]).await;
        kept(&site).await;
        assert_eq!((whole.status.as_u16(), whole.cache(), whole.whole, whole.header("content-length")), (200, cache, true, "5242885"));
        assert!(whole.body == content, "{cache}: other bytes");
    }
    assert_eq!(asked(&site)[2..], asks(&[("bytes=0-1048575", "\"a\""), ("bytes=3145728-6291455", "\"a\"")]));
}

#[tokio::test]
async fn deep_in_what_is_large() {
    let site = Site::start().await;
    let slice = bytes(0, MIB);
    let reply = Reply::new(206, slice.clone()).cached("max-age=60").field("etag", "\"a\"").field("content-digest", "of the part");
    site.origin.reply("/a", reply.field("content-range", "bytes 9999220736-10000269311/10737418240"));
    for cache in ["MISS", "HIT"] {
        let part = range(&site, "bytes=10000000000-10000000009").await;
        assert_eq!((part.status.as_u16(), part.cache(), &part.body), (206, cache, &slice.slice(779_264..779_274)));
        assert_eq!(part.header("content-range"), "bytes 10000000000-10000000009/10737418240");
        assert_eq!(part.header("content-digest"), "", "it is of other bytes");
    }
    assert_eq!(asked(&site), asks(&[("bytes=9999220736-10000269311", "")]));
}

#[tokio::test]
async fn the_end_of_what_is_not_known() {
    let site = Site::start().await;
    let content = bytes(0, 3 * MIB + 5);
    site.origin.reply("/a", tagged(&content, "\"a\""));
    let end = range(&site, "bytes=-1048586").await;
    assert_eq!((end.status.as_u16(), end.cache(), &end.body), (206, "MISS", &content.slice(2 * MIB - 5..)));
    // Of the slice before those that came whole only the end came.
    let end = range(&site, "bytes=-1048581").await;
    assert_eq!((end.status.as_u16(), end.cache(), &end.body), (206, "HIT", &content.slice(2 * MIB..)));
    let end = range(&site, "bytes=-1048582").await;
    assert_eq!((end.status.as_u16(), end.cache(), &end.body), (206, "MISS", &content.slice(2 * MIB - 1..)));
    assert_eq!(asked(&site), asks(&[("bytes=-1048586", ""), ("bytes=1048576-2097151", "\"a\"")]));
}

#[tokio::test]
async fn what_is_small_is_kept_whole() {
    let site = Site::start().await;
    // Without a validator: there is nothing to put together.
    site.origin.reply("/a", Reply::new(200, "0123456789").cached("max-age=60").ranged());
    assert_eq!(range(&site, "bytes=2-3").await.text(), "23");
    let whole = site.get("/a", &[]).await;
    assert_eq!((whole.status.as_u16(), whole.cache(), whole.text()), (200, "HIT", "0123456789"));
    assert_eq!(asked(&site), asks(&[("bytes=0-1048575", "")]));
}

#[tokio::test]
async fn what_cannot_be_put_together_is_not_kept() {
    let content = bytes(0, 2 * MIB);
    let plain = || Reply::new(200, content.clone()).cached("max-age=60").ranged();
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    let cases = [
        ("no validator", plain()),
        ("a weak tag", plain().field("etag", "W/\"a\"")),
        ("a weak tag and a date", plain().field("etag", "W/\"a\"").field("last-modified", old)),
        ("changed just now", plain().field("last-modified", old).field("date", "Sun, 06 Nov 1994 08:50:00 GMT").field("expires", "0")),
        ("not to be kept", Reply::new(200, content.clone()).cached("no-store").field("etag", "\"a\"").ranged()),
    ];
    for (what, reply) in cases {
        let site = Site::start().await;
        site.origin.reply("/a", reply);
        for _ in 0..2 {
            let part = range(&site, "bytes=1048580-1048589").await;
            assert_eq!((part.status.as_u16(), part.cache()), (206, "MISS"), "{what}");
            assert_eq!(part.body, content.slice(MIB + 4..MIB + 14), "{what}");
        }
        let own = ("bytes=1048580-1048589", "");
        assert_eq!(asked(&site), asks(&[("bytes=1048576-2097151", ""), own, own]), "{what}");
    }
    // With a date that is strong they are.
    let site = Site::start().await;
    site.origin.reply("/a", plain().field("last-modified", old).field("date", "Sun, 06 Nov 1994 08:51:00 GMT").field("expires", "0"));
    range(&site, "bytes=1048580-1048589").await;
    let whole = site.get("/a", &[("cache-control", "max-stale")]).await;
    assert!(whole.whole && whole.body == content, "other bytes");
    assert_eq!(asked(&site), asks(&[("bytes=1048576-2097151", ""), ("bytes=0-1048575", old)]));
}

#[tokio::test]
async fn an_origin_that_mislabels_parts() {
    let part = || Reply::new(206, bytes(0, MIB)).cached("max-age=60").field("etag", "\"a\"");
    let cases = [
        ("no label", part()),
        ("an unknown length", part().field("content-range", "bytes 1048576-2097151/*")),
        ("other bytes", part().field("content-range", "bytes 0-1048575/3145728")),
        ("fewer bytes", part().field("content-range", "bytes 1048576-2097150/3145728")),
        ("several parts", part().field("content-type", "multipart/byteranges; boundary=x")),
    ];
    for (what, reply) in cases {
        let site = Site::start().await;
        site.origin.reply("/a", reply);
        site.origin.reply("/a", Reply::new(206, "own").field("content-range", "bytes 1048580-1048582/3145728"));
        let answer = range(&site, "bytes=1048580-1048582").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (206, "own"), "{what}");
        assert_eq!(site.origin.last().header("range"), "bytes=1048580-1048582", "{what}");
    }
}

#[tokio::test]
async fn another_answer_than_a_part() {
    let site = Site::start().await;
    site.origin.reply("/a", Reply::new(200, bytes(0, 2 * MIB)).cached("max-age=60"));
    for cache in ["MISS", "HIT"] {
        let part = range(&site, "bytes=1048580-1048589").await;
        assert_eq!((part.status.as_u16(), part.cache(), &part.body), (206, cache, &bytes(0, 2 * MIB).slice(MIB + 4..MIB + 14)));
    }
    let site = Site::start().await;
    site.origin.reply("/a", tagged(&bytes(0, MIB), "\"a\""));
    let nothing = range(&site, "bytes=1048576-").await;
    assert_eq!((nothing.status.as_u16(), nothing.cache(), nothing.header("content-range")), (416, "MISS", "bytes */1048576"));
    assert_eq!(site.get("/a", &[]).await.cache(), "MISS", "it is for that range alone");
}

#[tokio::test]
async fn another_version_before_the_head() {
    let site = Site::start().await;
    let (old, new) = (bytes(0, 4 * MIB), bytes(1, 4 * MIB));
    site.origin.reply("/a", tagged(&old, "\"a\""));
    range(&site, "bytes=0-9").await;
    kept(&site).await;
    change(&site, tagged(&new, "\"b\""));
    assert_eq!(range(&site, "bytes=0-9").await.cache(), "HIT", "it is fresh");
    let whole = site.get("/a", &[]).await;
    kept(&site).await;
    assert_eq!((whole.status.as_u16(), whole.header("etag"), whole.whole), (200, "\"b\"", true));
    assert!(whole.body == new, "other bytes");
    let part = range(&site, "bytes=0-9").await;
    kept(&site).await;
    assert_eq!((part.cache(), &part.body), ("HIT", &new.slice(..10)));
}

#[tokio::test]
async fn an_origin_that_knows_no_if_range() {
    let site = Site::start().await;
    let (old, new) = (bytes(0, 2 * MIB), bytes(1, 2 * MIB));
    let part = |of: &Bytes, tag: &str, first: usize| {
        let label = format!("bytes {first}-{}/{}", first + MIB - 1, 2 * MIB);
        Reply::new(206, of.slice(first..first + MIB)).cached("max-age=60").field("etag", tag).field("content-range", label)
    };
    site.origin.reply("/a", part(&old, "\"a\"", 0));
    site.origin.reply("/a", part(&new, "\"b\"", MIB));
    site.origin.reply("/a", part(&new, "\"b\"", 0));
    range(&site, "bytes=0-9").await;
    kept(&site).await;
    let whole = site.get("/a", &[]).await;
    kept(&site).await;
    assert_eq!((whole.status.as_u16(), whole.header("etag"), whole.whole), (200, "\"b\"", true));
    assert!(whole.body == new, "bytes of two versions");
    assert_eq!(asked(&site)[1..], asks(&[("bytes=1048576-2097151", "\"a\""), ("bytes=0-1048575", "\"b\"")]));
}

#[tokio::test]
async fn another_version_behind_the_head() {
    let site = Site::start().await;
    let (old, new) = (bytes(0, 10 * MIB), bytes(1, 10 * MIB));
    site.origin.reply("/a", tagged(&old, "\"a\""));
    range(&site, "bytes=0-8388609").await;
    change(&site, tagged(&new, "\"b\""));
    let broken = site.get("/a", &[]).await;
    assert!(!broken.whole, "the viewer is told");
    assert!(old.starts_with(&broken.body), "bytes of two versions");
    let next = site.get("/a", &[]).await;
    assert_eq!((next.header("etag"), next.whole), ("\"b\"", true));
    assert!(next.body == new, "bytes of two versions");
}

#[tokio::test]
async fn one_request_for_a_gap() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    let content = bytes(0, 3 * MIB);
    site.origin.reply("/a", tagged(&content, "\"a\""));
    range(&site, "bytes=0-9").await;
    change(&site, tagged(&content, "\"a\"").behind(&gate));
    let mut asking = Vec::new();
    for turn in 0..10_usize {
        let site = Arc::clone(&site);
        asking.push(tokio::spawn(async move {
            let first = MIB + turn * 1_000;
            (first, range(&site, &format!("bytes={first}-{}", first + 9)).await)
        }));
    }
    eventually("it was asked", || site.origin.count() == 2).await;
    gate.close();
    for answer in asking {
        let (first, answer) = answer.await.expect("no panic");
        assert_eq!((answer.status.as_u16(), answer.body), (206, content.slice(first..first + 10)));
    }
    assert_eq!(site.origin.count(), 2);
}

#[tokio::test]
async fn who_waits_for_a_part_that_cannot_be_kept() {
    let site = Arc::new(Site::start().await);
    let gate = Arc::new(Semaphore::new(0));
    let content = bytes(0, 3 * MIB);
    let plain = Reply::new(200, content.clone()).cached("max-age=60").ranged();
    site.origin.reply("/a", plain.clone().behind(&gate));
    site.origin.reply("/a", plain);
    let mut asking = Vec::new();
    for turn in 0..5_usize {
        let site = Arc::clone(&site);
        asking.push(tokio::spawn(async move {
            let first = MIB + turn * 1_000;
            (first, range(&site, &format!("bytes={first}-{}", first + 9)).await)
        }));
    }
    eventually("it was asked", || site.origin.count() == 1).await;
    gate.close();
    for answer in asking {
        let (first, answer) = answer.await.expect("no panic");
        assert_eq!((answer.status.as_u16(), answer.body), (206, content.slice(first..first + 10)));
    }
    assert!(asked(&site).iter().all(|(range, _)| !range.is_empty()), "nobody asked for all of it: {:?}", asked(&site));
}

#[tokio::test]
async fn what_was_evicted_is_asked_for_again() {
    // There is room for three slices.
    let site = Site::start_keeping(3 * MIB as u64 + 64_000, |_| {}).await;
    let content = bytes(0, 10 * MIB);
    site.origin.reply("/a", tagged(&content, "\"a\""));
    for _ in 0..3 {
        let whole = site.get("/a", &[]).await;
        assert_eq!((whole.status.as_u16(), whole.whole), (200, true));
        assert!(whole.body == content, "other bytes");
    }
    assert!(asked(&site).iter().skip(1).all(|(range, version)| range.starts_with("bytes=") && version == "\"a\""), "{:?}", asked(&site));
}

#[tokio::test]
async fn an_origin_that_breaks_off_is_asked_for_the_rest() {
    let site = Site::start().await;
    let content = bytes(0, 4 * MIB);
    site.origin.reply("/a", tagged(&content, "\"a\"").broken());
    site.origin.reply("/a", tagged(&content, "\"a\""));
    let whole = site.get("/a", &[]).await;
    assert!(whole.whole && whole.body == content, "{} bytes", whole.body.len());
    let seen = asked(&site);
    assert_eq!(seen.len(), 2);
    assert_eq!((&*seen[0].0, &*seen[1].1), ("", "\"a\""));
    assert_eq!(site.get("/a", &[]).await.cache(), "HIT");
}

#[tokio::test]
async fn what_is_stale_is_validated_with_all_its_parts() {
    let site = Site::start().await;
    let content = bytes(0, 3 * MIB);
    site.origin.reply("/a", tagged(&content, "\"a\"").field("age", "90"));
    site.origin.reply("/a", tagged(&content, "\"a\""));
    for slice in ["bytes=0-9", "bytes=1048576-1048577"] {
        range(&site, slice).await;
    }
    let seen = site.origin.seen();
    assert_eq!((seen[1].header("if-none-match"), seen[1].header("range")), ("\"a\"", "bytes=1048576-2097151"));
    let renewed = range(&site, "bytes=5-6").await;
    assert_eq!((renewed.cache(), &renewed.body), ("HIT", &content.slice(5..7)));
    let part = range(&site, "bytes=1048576-1048577").await;
    assert_eq!((part.status.as_u16(), part.body), (206, content.slice(MIB..MIB + 2)));
    assert_eq!(asked(&site)[2..], asks(&[("bytes=1048576-2097151", "\"a\"")]));
}

#[tokio::test]
async fn parts_from_before_a_purge() {
    let site = Site::start().await;
    // The same tag, so that nothing but the purge tells the two apart.
    let (old, new) = (bytes(0, 2 * MIB), bytes(1, 2 * MIB));
    site.view.revision.store(5, Ordering::SeqCst);
    site.origin.reply("/a", tagged(&old, "\"a\""));
    range(&site, "bytes=0-9").await;
    change(&site, tagged(&new, "\"a\""));
    site.view.revision.store(6, Ordering::SeqCst);
    site.view.purge.store(6, Ordering::SeqCst);
    let part = range(&site, "bytes=1048576-1048585").await;
    assert_eq!((part.cache(), &part.body), ("MISS", &new.slice(MIB..MIB + 10)));
    let whole = site.get("/a", &[]).await;
    assert!(whole.whole && whole.body == new, "a slice from before the purge");
    assert_eq!(asked(&site)[1..], asks(&[("bytes=1048576-2097151", ""), ("bytes=0-1048575", "\"a\"")]));
}

#[tokio::test]
async fn parts_from_before_touch_was_lost() {
    let site = Site::start().await;
    // Had there been a purge, this node would not know.
    let (old, new) = (bytes(0, 2 * MIB), bytes(1, 2 * MIB));
    site.origin.reply("/a", tagged(&old, "\"a\""));
    range(&site, "bytes=0-9").await;
    change(&site, tagged(&new, "\"a\""));
    site.view.is_stale.store(true, Ordering::SeqCst);
    let both = range(&site, "bytes=1048576-1048585").await;
    assert_eq!((both.cache(), &both.body), ("MISS", &new.slice(MIB..MIB + 10)));
    let whole = site.get("/a", &[("range", "bytes=1048576-1048585"), ("if-range", "\"b\"")]).await;
    assert!(whole.whole && whole.body == new, "a slice from before touch was lost");
}

#[tokio::test]
async fn if_range_of_viewers() {
    let site = Site::start().await;
    let content = bytes(0, 2 * MIB);
    site.origin.reply("/a", tagged(&content, "\"a\""));
    let cases: [(Fields<'_>, u16, usize); 3] = [
        (&[("range", "bytes=0-9"), ("if-range", "\"a\"")], 206, 10),
        (&[("range", "bytes=0-9"), ("if-range", "\"b\"")], 200, 2 * MIB),
        (&[("range", "bytes=0-9"), ("if-range", "W/\"a\"")], 200, 2 * MIB),
    ];
    for (fields, status, length) in cases {
        let answer = site.get("/a", fields).await;
        assert_eq!((answer.status.as_u16(), answer.body.len(), answer.whole), (status, length, true), "{fields:?}");
        assert!(content.starts_with(&answer.body), "{fields:?}");
    }
    assert_eq!(asked(&site), asks(&[("bytes=0-1048575", ""), ("bytes=1048576-2097151", "\"a\"")]));
}

#[tokio::test]
async fn an_answer_to_head_about_another_version() {
    let policy = ncore_cache::reuse::ReusePolicy { stale_while_revalidate_s: 3_600, ..ncore_cache::reuse::ReusePolicy::STRICT };
    for (tag, cache) in [("\"a\"", "HIT"), ("\"b\"", "STALE")] {
        let site = Site::start_with(|zone| zone.reuse = policy).await;
        site.origin.reply("/a", Reply::new(200, "content").cached("max-age=60").field("etag", "\"a\""));
        site.get("/a", &[]).await;
        change(&site, Reply::new(200, "content").cached("max-age=60").field("etag", tag));
        let head = site.ask(Method::HEAD, "/a", &[("cache-control", "no-cache")]).await;
        assert_eq!(head.header("etag"), tag);
        assert_eq!(site.get("/a", &[]).await.cache(), cache, "{tag}");
    }
}

/// What happens to a site.
#[derive(Debug, Clone)]
enum Step {
    Whole,
    Range {
        first: usize,
        length: usize,
    },
    Suffix(usize),
    /// At once: all of it, and a range.
    Both {
        first: usize,
        length: usize,
    },
    /// The origin has another version: of the same length, or of another.
    Change(Option<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    let length = || prop_oneof![1_usize..100, 1_usize..3 * MIB];
    prop_oneof![
        1 => prop::strategy::Just(Step::Whole),
        4 => (0..5 * MIB, length()).prop_map(|(first, length)| Step::Range { first, length }),
        1 => length().prop_map(Step::Suffix),
        1 => (0..5 * MIB, length()).prop_map(|(first, length)| Step::Both { first, length }),
        1 => prop::option::of(1..5 * MIB).prop_map(Step::Change),
    ]
}

/// Whether an answer is what was asked for of the version whose tag it has, or if it broke off the beginning of that.
fn check(answer: &Answer, versions: &[Bytes], wanted: Option<(usize, usize)>) -> Result<(), String> {
    let told = format!("{} {:?}, {} bytes, whole: {}", answer.status, answer.headers, answer.body.len(), answer.whole);
    let tag = answer.header("etag").trim_matches('"').parse::<usize>();
    let version = tag.ok().and_then(|tag| versions.get(tag)).ok_or_else(|| format!("of no version: {told}"))?;
    let size = version.len();
    let expected = match (answer.status.as_u16(), wanted) {
        (200, None) => version.clone(),
        (206, Some((first, end))) if first < size => version.slice(first..end.min(size)),
        (416, Some((first, _))) if first >= size => Bytes::new(),
        _ => return Err(format!("not what was asked for of {size} bytes: {told}")),
    };
    let is_right = if answer.whole { answer.body == expected } else { expected.starts_with(&answer.body) };
    if is_right { Ok(()) } else { Err(format!("other bytes: {told}")) }
}

/// An origin that is careless does not heed `If-Range`: it sends a part of whatever version it has.
async fn walk(steps: Vec<Step>, is_careless: bool) -> Result<(), String> {
    let reply = |content: &Bytes, tag: &str| {
        let reply = tagged(content, tag);
        if is_careless { reply.field("x-careless", "1") } else { reply }
    };
    // Room for a few slices, so that others are evicted all the time.
    let site = Site::start_keeping(4 * MIB as u64, |_| {}).await;
    let mut versions = vec![bytes(0, 4 * MIB + 7)];
    site.origin.reply("/a", reply(&versions[0], "\"0\""));
    for step in steps {
        match step {
            Step::Whole => check(&site.get("/a", &[]).await, &versions, None)?,
            Step::Range { first, length } => {
                let answer = range(&site, &format!("bytes={first}-{}", first + length - 1)).await;
                check(&answer, &versions, Some((first, first + length)))?;
            }
            Step::Suffix(length) => {
                let answer = range(&site, &format!("bytes=-{length}")).await;
                let size = answer.header("content-range").split_once('/').and_then(|(_, size)| size.parse::<usize>().ok());
                let size = size.ok_or("no label")?;
                check(&answer, &versions, Some((size.saturating_sub(length), size)))?;
            }
            Step::Both { first, length } => {
                let field = format!("bytes={first}-{}", first + length - 1);
                let (whole, part) = tokio::join!(site.get("/a", &[]), range(&site, &field));
                check(&whole, &versions, None)?;
                check(&part, &versions, Some((first, first + length)))?;
            }
            Step::Change(length) => {
                let length = length.unwrap_or(versions[versions.len() - 1].len());
                let tag = format!("\"{}\"", versions.len());
                versions.push(bytes(versions.len(), length));
                change(&site, reply(&versions[versions.len() - 1], &tag));
            }
        }
    }
    Ok(())
}

/// Whatever is asked for, evicted and changed: an answer has bytes of one version, and those that were asked for.
#[test]
fn bytes_of_one_version() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 24, max_shrink_iters: 64, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(prop::collection::vec(step(), 1..20), any::<bool>()), |(steps, is_careless)| {
        runtime.block_on(walk(steps, is_careless)).map_err(proptest::test_runner::TestCaseError::fail)
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

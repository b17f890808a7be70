//! Histories of asset paths, good and bad.

use super::{history, timed};
use crate::history::Operation;
use crate::linearizability::{AssetPath, Checker, Held, PathOp, PathOutcome, Verdict};

type PathOperation = Operation<PathOp, PathOutcome>;

fn put(from: u64, to: impl Into<Option<u64>>, content: &str, id: &str) -> PathOperation {
    let op = PathOp::Put { path: "p".into(), sha256: content.into() };
    timed(from, from, to.into(), op, PathOutcome::Put { id: id.into() })
}

fn delete(from: u64, to: impl Into<Option<u64>>, id: &str, found: bool) -> PathOperation {
    let op = PathOp::Delete { path: "p".into(), id: id.into() };
    timed(from, from, to.into(), op, if found { PathOutcome::Deleted } else { PathOutcome::NotFound })
}

fn get(from: u64, to: impl Into<Option<u64>>, seen: Option<(&str, &str)>) -> PathOperation {
    let held = seen.map(|(content, id)| Held { id: Some(id.into()), sha256: content.into() });
    timed(from, from, to.into(), PathOp::Get { path: "p".into() }, PathOutcome::Holds(held))
}

fn is_linearizable(operations: Vec<PathOperation>) -> bool {
    matches!(Checker::default().check::<AssetPath>(&history(operations)), Verdict::Linearizable)
}

#[test]
fn good_histories_pass() {
    let cases = [
        (
            "put, get, delete, get",
            vec![put(1, 2, "a", "as_1"), get(3, 4, Some(("a", "as_1"))), delete(5, 6, "as_1", true), get(7, 8, None)],
        ),
        (
            "a second put takes another id",
            vec![put(1, 2, "a", "as_1"), put(3, 4, "b", "as_2"), delete(5, 6, "as_1", false), get(7, 8, Some(("b", "as_2")))],
        ),
        ("or keeps the id", vec![put(1, 2, "a", "as_1"), put(3, 4, "b", "as_1"), delete(5, 6, "as_1", true)]),
        (
            "a put without an answer is seen, then deleted",
            vec![put(1, None, "a", "-"), get(2, 3, Some(("a", "as_1"))), delete(4, 5, "as_1", true), get(6, 7, None)],
        ),
        (
            "a delete without an answer",
            vec![put(1, 2, "a", "as_1"), delete(3, None, "as_1", true), get(4, 5, Some(("a", "as_1"))), get(6, 7, None)],
        ),
    ];
    for (name, operations) in cases {
        assert!(is_linearizable(operations), "{name}");
    }
}

#[test]
fn bad_histories_fail() {
    let cases = [
        ("lost write", vec![put(1, 2, "a", "as_1"), get(3, 4, None)]),
        ("stale read", vec![put(1, 2, "a", "as_1"), put(3, 4, "b", "as_2"), get(5, 6, Some(("a", "as_1")))]),
        ("resurrected delete", vec![put(1, 2, "a", "as_1"), delete(3, 4, "as_1", true), get(5, 6, None), get(7, 8, Some(("a", "as_1")))]),
        ("deleted twice", vec![put(1, 2, "a", "as_1"), delete(3, 4, "as_1", true), delete(5, 6, "as_1", true)]),
        (
            "a delete took the wrong asset",
            vec![put(1, 2, "a", "as_1"), put(3, 4, "b", "as_2"), delete(5, 6, "as_1", false), get(7, 8, None)],
        ),
        (
            "applied twice: the put of a lost answer comes back",
            vec![put(1, None, "a", "-"), get(2, 3, Some(("a", "as_1"))), delete(4, 5, "as_1", true), get(6, 7, Some(("a", "as_9")))],
        ),
        ("one asset, two contents", vec![put(1, 2, "a", "as_1"), get(3, 4, Some(("b", "as_1")))]),
        ("the id changes by itself", vec![put(1, 2, "a", "as_1"), get(3, 4, Some(("a", "as_2")))]),
        ("not found, though it was there all the time", vec![put(1, 2, "a", "as_1"), delete(3, 4, "as_1", false)]),
    ];
    for (name, operations) in cases {
        assert!(!is_linearizable(operations), "{name}");
    }
}

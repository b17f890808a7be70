//! Each request once, whoever asks again.

use ncore_model::{
    Applied, ClientId, Command, IDEMPOTENCY_RETENTION_MS, Idempotency, Outcome, Query, REQUEST_RETENTION_MS, Rejection, RequestId, Table,
};

use crate::world::{World, add_client, init, nobody, put, request};

/// What the tests here reach.
pub(crate) const REACHED: [Rejection; 2] = [Rejection::RequestExpired, Rejection::KeyReused];

fn key(payload: u8) -> Idempotency {
    Idempotency { scope: [1; 32], payload: [payload; 32] }
}

/// Content for `a.txt`, pinned for long enough.
fn content(world: &World, client: &ClientId, number: u8) -> Command {
    let mut put = put(client, "a.txt", number);
    put.pinned_until_ms = world.now_ms + 10 * IDEMPOTENCY_RETENTION_MS;
    Command::PutAsset(put)
}

fn present(world: &World) -> Option<[u8; 32]> {
    world.tables.asset_at("a.txt").expect("reads").map(|asset| asset.sha256)
}

fn now(world: &World) -> RequestId {
    request(world.now_ms, world.index + 1)
}

#[test]
fn a_request_has_one_answer() {
    let (mut world, client) = World::with_client();
    let id = now(&world);
    let first = world.propose(id, None, content(&world, &client, 1));
    assert!(matches!(first.outcome, Outcome::AssetCreated(_)));
    assert_eq!(first.index, world.index);
    let later = world.propose(now(&world), None, content(&world, &client, 2));
    assert!(matches!(later.outcome, Outcome::AssetReplaced(_)));
    assert_eq!(world.propose(id, None, content(&world, &client, 1)), first);
    assert_eq!(present(&world), Some([2; 32]));
}

/// Also before there is a cluster, and also if the answer was no.
#[test]
fn a_rejection_is_an_answer() {
    let mut world = World::empty();
    let id = now(&world);
    let first = world.propose(id, None, Command::AddClient(add_client()));
    assert_eq!(first.outcome, Outcome::Rejected(Rejection::NotInitialised));
    assert_eq!(world.propose(id, None, Command::AddClient(add_client())), first);
    assert_eq!(world.apply(init()), Outcome::Done);
    assert_eq!(world.propose(id, None, Command::AddClient(add_client())), first);
}

/// An answer is kept until its request would be refused: there is no moment at which a request is done again.
#[test]
fn an_old_request_is_refused() {
    let (mut world, client) = World::with_client();
    let id = now(&world);
    let first = world.propose(id, None, content(&world, &client, 1));
    world.now_ms += REQUEST_RETENTION_MS - 1;
    assert_eq!(world.propose(id, None, content(&world, &client, 1)), first);
    world.now_ms += 1;
    let refused = world.propose(id, None, content(&world, &client, 1));
    assert_eq!(refused, Applied { outcome: Outcome::Rejected(Rejection::RequestExpired), index: world.index, lineage: 1 });
    let never_seen = request(world.now_ms - REQUEST_RETENTION_MS, 77);
    assert_eq!(world.propose(never_seen, None, content(&world, &client, 2)).outcome, Outcome::Rejected(Rejection::RequestExpired));
    let just_in_time = request(world.now_ms - REQUEST_RETENTION_MS + 1, 78);
    assert!(matches!(world.propose(just_in_time, None, content(&world, &client, 2)).outcome, Outcome::AssetReplaced(_)));
}

/// The clock that made the id may run ahead of the log's.
#[test]
fn a_request_from_the_future_is_kept_until_it_is_refused() {
    let (mut world, client) = World::with_client();
    let ahead_ms = 10 * REQUEST_RETENTION_MS;
    let id = request(world.now_ms + ahead_ms, 1);
    let first = world.propose(id, None, content(&world, &client, 1));
    world.now_ms += ahead_ms + REQUEST_RETENTION_MS - 1;
    assert_eq!(world.propose(id, None, content(&world, &client, 1)), first);
    world.now_ms += 1;
    assert_eq!(world.propose(id, None, content(&world, &client, 1)).outcome, Outcome::Rejected(Rejection::RequestExpired));
}

#[test]
fn a_key_has_one_answer_for_a_day() {
    let (mut world, client) = World::with_client();
    let first = world.propose(now(&world), Some(key(1)), content(&world, &client, 1));
    world.now_ms += IDEMPOTENCY_RETENTION_MS - 1;
    assert_eq!(world.propose(now(&world), Some(key(1)), content(&world, &client, 1)), first);
    world.now_ms += 1;
    let again = world.propose(now(&world), Some(key(1)), content(&world, &client, 2));
    assert!(matches!(again.outcome, Outcome::AssetReplaced(_)));
}

#[test]
fn a_key_is_for_one_payload() {
    let (mut world, client) = World::with_client();
    let first = world.propose(now(&world), Some(key(1)), content(&world, &client, 1));
    let other = world.propose(now(&world), Some(key(2)), content(&world, &client, 2));
    assert_eq!(other, Applied { outcome: Outcome::Rejected(Rejection::KeyReused), ..first });
    assert_eq!(present(&world), Some([1; 32]));
    let elsewhere = Idempotency { scope: [2; 32], payload: [2; 32] };
    assert!(matches!(world.propose(now(&world), Some(elsewhere), content(&world, &client, 2)).outcome, Outcome::AssetReplaced(_)));
}

/// Whoever was refused may put right what was wrong, with the same key.
#[test]
fn a_rejection_does_not_use_a_key_up() {
    let (mut world, client) = World::with_client();
    let refused = world.propose(now(&world), Some(key(1)), content(&world, &nobody(), 1));
    assert_eq!(refused.outcome, Outcome::Rejected(Rejection::ClientUnknown));
    assert!(matches!(world.propose(now(&world), Some(key(2)), content(&world, &client, 1)).outcome, Outcome::AssetCreated(_)));
}

/// A request that was answered from its key is delivered a second time when the key has ended: it was answered, and is not
/// carried out now.
#[test]
fn an_answer_by_key_outlives_the_key() {
    for (payload, expected) in [(1, None), (2, Some(Rejection::KeyReused))] {
        let (mut world, client) = World::with_client();
        world.propose(now(&world), Some(key(1)), content(&world, &client, 1));
        world.now_ms += IDEMPOTENCY_RETENTION_MS - 1;
        let id = now(&world);
        let answered = world.propose(id, Some(key(payload)), content(&world, &client, 2));
        assert_eq!(matches!(answered.outcome, Outcome::Rejected(_)), expected.is_some());
        world.now_ms += 2;
        assert_eq!(world.propose(id, Some(key(payload)), content(&world, &client, 2)), answered);
        assert_eq!(present(&world), Some([1; 32]));
    }
}

/// However many answers fall due at once, the entries that follow catch up, a bounded number each.
#[test]
fn forgetting_is_bounded_and_catches_up() {
    let mut world = World::cluster();
    for _ in 0..1_000 {
        world.apply(Command::RaiseSchema { level: 9 });
    }
    let due = world.table(Table::Expiry).len();
    assert!(due > 1_000);
    world.now_ms += 2 * REQUEST_RETENTION_MS;
    let mut left = due;
    while left > 1 {
        world.now_ms += 2 * REQUEST_RETENTION_MS;
        world.apply(Command::RaiseSchema { level: 9 });
        let now_left = world.table(Table::Expiry).len();
        assert!(now_left < left, "{now_left} of {left} are left");
        assert!(left - now_left <= 16, "{left} to {now_left} in one entry");
        assert_eq!(world.table(Table::Requests).len(), now_left);
        left = now_left;
    }
}

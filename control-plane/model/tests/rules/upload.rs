//! Commands about uploads that come in pieces, and about many assets at once.

use ncore_model::{
    AppendUpload, AssetRef, BlobHash, ClientId, Command, CompleteUpload, CreateUpload, DONE_UPLOAD_RETENTION_MS, DeleteAssets, Deletion,
    EndUpload, MAX_DELETED_ASSETS, MAX_OPEN_UPLOAD_BYTES, MAX_OPEN_UPLOADS, MAX_UPLOAD_PARTS, NodeId, NodeState, Outcome, Precondition,
    Query, Rejection, SCHEMA_MAX, Table, Tables, Upload, UploadId, UploadPart, UploadTarget, Visibility, encode,
};

use crate::{
    Case, check,
    world::{LONG, START_MS, World, add_client, nobody, put},
};

const LIFETIME_MS: u64 = 600_000;

/// A cluster at the highest level, with a client.
fn world() -> (World, ClientId) {
    let mut world = World::cluster();
    for level in 2..=SCHEMA_MAX {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let client = world.client();
    (world, client)
}

fn create(client: &ClientId, path: &str, length: u64) -> CreateUpload {
    let target = UploadTarget { path: path.into(), mime: None, cache_ttl_s: None, visibility: None, precondition: Precondition::None };
    CreateUpload { client: client.clone(), length, target, note: "name YQ==".into(), lifetime_ms: LIFETIME_MS }
}

fn begin(world: &mut World, create: CreateUpload) -> Upload {
    match world.apply(Command::CreateUpload(create)) {
        Outcome::UploadCreated(upload) => upload,
        other => panic!("{other:?}"),
    }
}

/// A piece of so many bytes, which is content number `size`.
fn append(upload: &Upload, offset: u64, size: u8) -> AppendUpload {
    AppendUpload {
        client: upload.client.clone(),
        upload: upload.id.clone(),
        offset,
        part: UploadPart { blob: BlobHash([size; 32]), size: u64::from(size) },
        holders: vec![NodeId(1)],
        pinned_until_ms: START_MS + 3_600_000,
        lifetime_ms: LIFETIME_MS,
    }
}

fn complete(upload: &Upload, offset: u64, content: u8) -> CompleteUpload {
    CompleteUpload {
        upload: upload.id.clone(),
        offset,
        put: put(&upload.client, &upload.target.path, content),
        visibility: upload.target.visibility,
    }
}

fn end(upload: &Upload) -> Command {
    Command::EndUpload(EndUpload { client: upload.client.clone(), upload: upload.id.clone() })
}

fn references(world: &World, content: u8) -> u64 {
    world.tables.blob(BlobHash([content; 32])).expect("reads").map_or(0, |blob| blob.references)
}

pub(crate) fn cases() -> Vec<Case> {
    beginning().into_iter().chain(going_on()).chain(many_at_once()).collect()
}

fn beginning() -> Vec<Case> {
    let (mut world, client) = world();
    let other = world.client();
    world.asset(put(&other, "theirs", 1));
    world.asset(put(&client, "ours", 1));
    let mut blocked = world.clone();
    let review = ncore_model::SetClientStatus { client: client.clone(), status: ncore_model::ClientStatus::Review };
    assert_eq!(blocked.apply(Command::SetClientStatus(review)), Outcome::Done);
    let mut full = world.clone();
    for _ in 0..MAX_OPEN_UPLOADS {
        begin(&mut full, create(&client, "a", 1));
    }
    let mut large = world.clone();
    begin(&mut large, create(&client, "a", MAX_OPEN_UPLOAD_BYTES - 1));
    let (low, early) = World::with_client();
    let rejected = |name, world: &World, change: &dyn Fn(&mut CreateUpload), rejection| {
        let mut wanted = create(&client, "a", 2);
        change(&mut wanted);
        Case::rejected(name, world, Command::CreateUpload(wanted), rejection)
    };
    vec![
        rejected("a long path", &world, &|create| create.target.path = "x".repeat(LONG), Rejection::FieldTooLong),
        rejected("a long type", &world, &|create| create.target.mime = Some("x".repeat(LONG)), Rejection::FieldTooLong),
        rejected("a long note", &world, &|create| create.note = "x".repeat(LONG), Rejection::FieldTooLong),
        rejected("of nobody", &world, &|create| create.client = nobody(), Rejection::ClientUnknown),
        rejected("of a client under review", &blocked, &|_| {}, Rejection::ClientBlocked),
        rejected("for a path of another", &world, &|create| create.target.path = "theirs".into(), Rejection::AssetOfOther),
        rejected(
            "for a path that must be free",
            &world,
            &|create| create.target = UploadTarget { path: "ours".into(), precondition: Precondition::Absent, ..create.target.clone() },
            Rejection::PreconditionFailed,
        ),
        rejected(
            "public below restricted/",
            &world,
            &|create| {
                let visibility = Some(Visibility::Public);
                create.target = UploadTarget { path: "restricted/a".into(), visibility, ..create.target.clone() };
            },
            Rejection::VisibilityFixed,
        ),
        rejected("one too many", &full, &|_| {}, Rejection::TooManyUploads),
        rejected("too large together", &large, &|_| {}, Rejection::TooManyUploads),
        Case::rejected("too early", &low, Command::CreateUpload(create(&early, "a", 1)), Rejection::SchemaTooLow { needed: 6, level: 1 }),
    ]
}

fn going_on() -> Vec<Case> {
    let (mut world, client) = world();
    let theirs = world.client();
    let upload = begin(&mut world, create(&client, "a", 5));
    let at_2 = {
        let mut world = world.clone();
        assert!(matches!(world.apply(Command::AppendUpload(append(&upload, 0, 2))), Outcome::UploadAppended { offset: 2, .. }));
        world
    };
    let mut done = at_2.clone();
    assert!(matches!(done.apply(Command::CompleteUpload(complete(&upload, 2, 5))), Outcome::AssetCreated(_)));
    let mut over = at_2.clone();
    over.now_ms += 2 * LIFETIME_MS;
    let mut crumbs = world.clone();
    let long = begin(&mut crumbs, create(&client, "b", 1 << 20));
    let parts = vec![UploadPart { blob: BlobHash([1; 32]), size: 1 }; MAX_UPLOAD_PARTS];
    let row = encode(&Upload { parts, ..long.clone() }).expect("encodes");
    crumbs.tables.put(Table::Uploads, long.id.as_str().as_bytes(), row);
    let mut removed = world.clone();
    let gone = removed.node("two", ncore_model::SchemaRange::BUILD);
    assert_eq!(removed.apply(Command::SetNodeState { node: gone, state: NodeState::Removed }), Outcome::Done);
    let add = |append: AppendUpload| Command::AppendUpload(append);
    let unknown = Upload { id: UploadId::from_text("up_none"), ..upload.clone() };
    let of_other = Upload { client: theirs, ..upload.clone() };
    vec![
        Case::rejected("too early a piece", &at_2, add(append(&upload, 0, 2)), Rejection::UploadOffset { offset: 2 }),
        Case::rejected("too late a piece", &at_2, add(append(&upload, 3, 1)), Rejection::UploadOffset { offset: 2 }),
        Case::rejected("a piece of no bytes", &at_2, add(append(&upload, 2, 0)), Rejection::UploadLength),
        Case::rejected("the last piece without an asset", &at_2, add(append(&upload, 2, 3)), Rejection::UploadLength),
        Case::rejected("more than there is to be", &at_2, add(append(&upload, 2, 4)), Rejection::UploadLength),
        Case::rejected("one piece too many", &crumbs, add(append(&long, MAX_UPLOAD_PARTS as u64, 1)), Rejection::TooManyParts),
        Case::rejected(
            "a piece whose pins are gone",
            &world,
            add(AppendUpload { pinned_until_ms: 1, ..append(&upload, 0, 2) }),
            Rejection::TooLate,
        ),
        Case::rejected(
            "a holder that was removed",
            &removed,
            add(AppendUpload { holders: vec![gone], ..append(&upload, 0, 2) }),
            Rejection::HolderRemoved,
        ),
        Case::rejected("a piece of no upload", &world, add(append(&unknown, 0, 2)), Rejection::UploadUnknown),
        Case::rejected("a piece for the upload of another", &world, add(append(&of_other, 0, 2)), Rejection::UploadUnknown),
        Case::rejected("a piece for an asset", &done, add(append(&upload, 5, 1)), Rejection::UploadOffset { offset: 5 }),
        Case::rejected("another length", &at_2, Command::CompleteUpload(complete(&upload, 2, 4)), Rejection::UploadLength),
        Case::rejected(
            "an end at another place",
            &at_2,
            Command::CompleteUpload(complete(&upload, 0, 5)),
            Rejection::UploadOffset { offset: 2 },
        ),
        Case::rejected("the end of an end", &done, Command::CompleteUpload(complete(&upload, 5, 5)), Rejection::UploadOffset { offset: 5 }),
        Case::new("given up", &at_2, end(&upload), Outcome::Done),
        Case::new("forgotten after it was done", &done, end(&upload), Outcome::Done),
        Case::rejected("given up by another", &at_2, end(&of_other), Rejection::UploadUnknown),
        Case::rejected(
            "a path that was taken meanwhile",
            &taken(&at_2),
            Command::CompleteUpload(complete(&upload, 2, 5)),
            Rejection::AssetOfOther,
        ),
        Case::rejected("its time is over", &forgotten(over), add(append(&upload, 2, 1)), Rejection::UploadUnknown),
    ]
}

/// Another client has put something at the path of the upload.
fn taken(world: &World) -> World {
    let mut world = world.clone();
    let other = world.client();
    world.asset(put(&other, "a", 1));
    world
}

/// An entry has gone by, so what is over is forgotten.
fn forgotten(mut world: World) -> World {
    assert!(matches!(world.apply(Command::AddClient(add_client())), Outcome::ClientAdded(_)));
    world
}

fn many_at_once() -> Vec<Case> {
    let (mut world, client) = world();
    let other = world.client();
    world.asset(put(&other, "theirs", 1));
    let (a, b) = (world.asset(put(&client, "a", 1)), world.asset(put(&client, "b", 2)));
    let delete = |assets: Vec<AssetRef>| Command::DeleteAssets(DeleteAssets { client: client.clone(), assets });
    let path = |path: &str| AssetRef::Path(path.into());
    let refused = |rejection| Deletion::Rejected(rejection);
    vec![
        Case::new(
            "some of many",
            &world,
            delete(vec![AssetRef::Id(a.id.clone()), path("theirs"), path("none"), path("b"), AssetRef::Id(a.id.clone())]),
            Outcome::AssetsDeleted(vec![
                Deletion::Deleted(a.id.clone()),
                refused(Rejection::AssetOfOther),
                refused(Rejection::AssetUnknown),
                Deletion::Deleted(b.id),
                refused(Rejection::AssetUnknown),
            ]),
        ),
        Case::rejected("too many", &world, delete(vec![AssetRef::Id(a.id); MAX_DELETED_ASSETS + 1]), Rejection::FieldTooLong),
        Case::rejected("a long path", &world, delete(vec![path(&"x".repeat(LONG))]), Rejection::FieldTooLong),
        Case::rejected(
            "of nobody",
            &world,
            Command::DeleteAssets(DeleteAssets { client: nobody(), assets: vec![path("a")] }),
            Rejection::ClientUnknown,
        ),
    ]
}

#[test]
fn upload_commands() {
    check(cases());
}

#[test]
fn pieces_are_kept_until_there_is_an_asset() {
    let (mut world, client) = world();
    let upload = begin(&mut world, CreateUpload { length: 9, ..create(&client, "a", 9) });
    assert_eq!((upload.offset(), upload.expires_at_ms), (0, upload.created_at_ms + LIFETIME_MS));
    for (offset, size) in [(0, 2), (2, 3), (5, 2)] {
        world.now_ms += 1_000;
        let appended = world.apply(Command::AppendUpload(append(&upload, offset, size)));
        let expected = Outcome::UploadAppended { offset: offset + u64::from(size), expires_at_ms: world.now_ms + LIFETIME_MS };
        assert_eq!(appended, expected);
    }
    assert_eq!([2, 3, 9].map(|content| references(&world, content)), [2, 1, 0]);
    let done = world.apply(Command::CompleteUpload(complete(&upload, 7, 9)));
    let Outcome::AssetCreated(asset) = done else { panic!("{done:?}") };
    assert_eq!([2, 3, 9].map(|content| references(&world, content)), [0, 0, 1]);
    let known = world.tables.upload(&upload.id).expect("reads").expect("is known for a while");
    assert_eq!((known.offset(), known.asset, known.parts), (9, Some(asset.id), Vec::new()));
    assert_eq!(known.expires_at_ms, world.now_ms + DONE_UPLOAD_RETENTION_MS);
    assert_eq!(world.table(Table::ClientUploads), [], "it does not count as open");
    world.now_ms += DONE_UPLOAD_RETENTION_MS;
    let world = forgotten(world);
    assert_eq!(world.tables.upload(&upload.id).expect("reads"), None);
    assert_eq!(references(&world, 9), 1, "the asset stays");
}

#[test]
fn what_nobody_finishes_is_forgotten_and_what_goes_on_is_not() {
    let (mut world, client) = world();
    let (left, kept) = (begin(&mut world, create(&client, "left", 9)), begin(&mut world, create(&client, "kept", 9)));
    for upload in [&left, &kept] {
        assert!(matches!(world.apply(Command::AppendUpload(append(upload, 0, 2))), Outcome::UploadAppended { .. }));
    }
    world.now_ms += LIFETIME_MS - 100;
    assert!(matches!(world.apply(Command::AppendUpload(append(&kept, 2, 3))), Outcome::UploadAppended { .. }));
    world.now_ms += 100;
    let mut world = forgotten(world);
    assert_eq!(world.tables.upload(&left.id).expect("reads"), None);
    assert_eq!(world.tables.upload(&kept.id).expect("reads").map(|upload| upload.offset()), Some(5));
    assert_eq!([2, 3].map(|content| references(&world, content)), [1, 1]);
    assert_eq!(world.table(Table::ClientUploads).len(), 1);
    assert_eq!(world.apply(end(&kept)), Outcome::Done);
    assert_eq!((world.table(Table::Blobs), world.table(Table::Uploads), world.table(Table::ClientUploads)), (vec![], vec![], vec![]));
}

//! Content of every awkward size, judged by blake3, sha2 and bao-tree.

use bao_tree::io::outboard::{EmptyOutboard, PostOrderMemOutboard};
use bao_tree::io::sync::{decode_ranges, encode_ranges_validated};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use ncore_store::{GROUP_BYTES, SLICE_BYTES, VerifyError, decode_slice, frame_bytes, slice_range};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sha2::{Digest, Sha256};

use crate::support::{TestStore, content, frames, part, stage};

const GROUPS: BlockSize = BlockSize::from_chunk_log(4);

fn awkward_size() -> impl Strategy<Value = usize> {
    let edge = prop_oneof![
        Just(0),
        Just(1),
        Just(1024),
        Just(GROUP_BYTES),
        Just(2 * GROUP_BYTES),
        Just(3 * GROUP_BYTES),
        Just(SLICE_BYTES / 2),
        Just(SLICE_BYTES),
        Just(SLICE_BYTES + GROUP_BYTES),
        Just(2 * SLICE_BYTES),
        Just(3 * SLICE_BYTES),
        Just(5 * SLICE_BYTES + 7 * GROUP_BYTES),
    ];
    let near_edge = (edge, 0..3_usize).prop_map(|(edge, n)| (edge + n).saturating_sub(1));
    prop_oneof![4 => near_edge, 1 => 0..6 * SLICE_BYTES]
}

#[test]
fn what_goes_in_comes_out_and_agrees_with_everyone() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = TestStore::new();
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&(awkward_size(), any::<u64>()), |(len, seed)| {
            runtime.block_on(agrees_with_everyone(&store, &content(len, seed)));
            Ok(())
        })
        .expect("all sizes agree");
}

/// Outboards above 64 KiB are read by parts, which begins above 16 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn large_content_agrees_with_everyone() {
    let store = TestStore::new();
    for extra in [0, 1, GROUP_BYTES + 1, 3 * SLICE_BYTES + 5] {
        let len = 16 * SLICE_BYTES + extra;
        agrees_with_everyone(&store, &content(len, extra as u64)).await;
    }
}

async fn agrees_with_everyone(test: &TestStore, content: &[u8]) {
    let size = content.len() as u64;
    let staged = stage(&test.store, content).await;
    assert_eq!(staged.blake3(), blake3::hash(content));
    assert_eq!(staged.sha256(), <[u8; 32]>::from(Sha256::digest(content)));
    assert_eq!(staged.size(), size);
    let hash = staged.blake3();
    staged.commit(crate::support::PIN).await.expect("the commit");

    let stored = std::fs::read(test.data_path(&hash)).expect("the data");
    assert!(stored == content, "the file differs");
    let outboard = check_outboard(test, hash, content);
    check_slices(test, hash, content).await;
    check_frames(test, hash, content, &outboard).await;
}

/// The outboard is the one that bao-tree makes, and bao-tree finds all of the content by it.
fn check_outboard(test: &TestStore, hash: blake3::Hash, content: &[u8]) -> PostOrderMemOutboard {
    let path = test.outboard_path(&hash);
    assert_eq!(path.exists(), content.len() > GROUP_BYTES);
    let ours = PostOrderMemOutboard {
        root: hash,
        tree: BaoTree::new(content.len() as u64, GROUPS),
        data: std::fs::read(path).unwrap_or_default(),
    };
    assert_eq!(ours, PostOrderMemOutboard::create(content, GROUPS));
    encode_ranges_validated(content, &ours, &ChunkRanges::all(), std::io::sink()).expect("bao-tree validates the outboard");
    ours
}

async fn check_slices(test: &TestStore, hash: blake3::Hash, content: &[u8]) {
    let size = content.len() as u64;
    let mut read = Vec::new();
    for slice in 0..ncore_store::slice_count(size) {
        let from_disk = test.store.read_slice_from_disk(hash, size, slice).await;
        let slice = test.store.read_slice(hash, size, slice).await;
        let slice = slice.expect("the slice");
        assert_eq!(from_disk.expect("the slice from disk"), slice);
        read.extend_from_slice(&slice);
    }
    assert!(read == content, "the slices differ");
}

/// The frames are byte for byte what bao-tree would send; ours and theirs decode them.
async fn check_frames(test: &TestStore, hash: blake3::Hash, content: &[u8], outboard: &PostOrderMemOutboard) {
    let size = content.len() as u64;
    for (slice, frame) in (0..).zip(frames(&test.store, hash, size).await) {
        let frame = frame.expect("a frame");
        assert_eq!(frame.slice, slice);
        assert_eq!(frame_bytes(size, slice), Some(frame.bytes.len()));
        let range = slice_range(size, slice).expect("the slice exists");
        let wanted = part(content, slice);

        let decoded = decode_slice(hash, size, slice, &frame.bytes).expect("our own frame");
        assert!(decoded == wanted, "the decoded slice differs");

        let end = ChunkNum::chunks(range.end).max(ChunkNum(1));
        let chunks = ChunkRanges::from(ChunkNum::full_chunks(range.start)..end);
        let mut theirs = Vec::new();
        encode_ranges_validated(content, outboard, &chunks, &mut theirs).expect("bao-tree encodes");
        assert!(theirs == frame.bytes, "frame {slice} differs from bao-tree's");
        let mut target = vec![0; content.len()];
        let (tree, root) = (outboard.tree, hash);
        let sink = EmptyOutboard { tree, root };
        decode_ranges(frame.bytes.as_ref(), &chunks, target.as_mut_slice(), sink).expect("bao-tree decodes");
        assert!(part(&target, slice) == wanted);
    }
}

#[tokio::test]
async fn a_frame_with_any_flaw_is_refused() {
    let test = TestStore::new();
    let content = content(2 * SLICE_BYTES + 3 * GROUP_BYTES + 17, 1);
    let size = content.len() as u64;
    let hash = test.put(&content).await;
    let frames = frames(&test.store, hash, size).await;
    for frame in frames {
        let frame = frame.expect("a frame");
        for at in (0..frame.bytes.len()).step_by(frame.bytes.len() / 97) {
            let mut bad = frame.bytes.to_vec();
            bad[at] ^= 0x10;
            let decoded = decode_slice(hash, size, frame.slice, &bad);
            assert!(decoded.is_err(), "byte {at} of frame {}", frame.slice);
            let cut = decode_slice(hash, size, frame.slice, &frame.bytes[..at]);
            assert!(matches!(cut, Err(VerifyError::Length { .. })));
        }
        let longer = [frame.bytes.as_ref(), &[0]].concat();
        assert!(decode_slice(hash, size, frame.slice, &longer).is_err());
        assert!(decode_slice(hash, size, frame.slice + 1, &frame.bytes).is_err());
        // The last slice proves the size; the others are the same bytes in a longer blob.
        let resized = decode_slice(hash, size + 1, frame.slice, &frame.bytes);
        assert_eq!(resized.is_err(), frame.slice == 2);
        assert!(decode_slice(blake3::hash(b""), size, frame.slice, &frame.bytes).is_err());
    }
    assert_eq!(decode_slice(hash, size, 3, &[]), Err(VerifyError::NoSuchSlice { size, slice: 3 }));
}

/// Sizes come from peers: the largest must neither overflow nor allocate.
#[test]
fn absurd_sizes_are_only_numbers() {
    let last = ncore_store::slice_count(u64::MAX) - 1;
    for (size, slice) in [(u64::MAX, 0), (u64::MAX, last), (u64::MAX - 1, last / 2)] {
        let bytes = frame_bytes(size, slice).expect("the slice exists");
        assert!(bytes <= SLICE_BYTES + 8192, "{bytes}");
        assert!(decode_slice(blake3::hash(b""), size, slice, &vec![0; bytes]).is_err());
    }
    assert_eq!(frame_bytes(u64::MAX, last + 1), None);
}

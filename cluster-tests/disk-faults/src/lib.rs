//! Disks that fail on demand: a library to preload (`LD_PRELOAD`) into a program under test.
//!
//! It replaces the functions of libc that write and sync files, and those that read them at a place. Each looks at a small control file, named by the
//! environment variable `NCORE_DISK_FAULTS`, and then delays, fails, or does what was asked:
//!
//! ```text
//! dir=/tmp/node-1/data        only files below this directory (required)
//! path=/blobs/                only files whose path has this in it (may be repeated: any of them)
//! skip=/raft/                 but not those whose path has this in it (may be repeated)
//! fsync_delay_ms=5            every fsync, fdatasync and sync_file_range takes this much longer
//! fsync_fail=once|always      they fail with EIO and do not sync
//! write_fail=enospc           every write, and every reservation of space, fails with ENOSPC
//! read_fail=eio               every read at a place (pread) fails with EIO
//! ```
//!
//! An empty or missing file means no faults. For each fault one byte is appended to `<control file>.hits`, so that a
//! test can tell that its fault was in effect.
//!
//! # Why it cannot deadlock or recurse
//! It has no locks, allocates nothing, keeps no copy of the control file, and enters the kernel by `syscall` only,
//! never by a function that it replaces. The buffers are on the stack. That makes it safe in every place where the
//! functions it replaces are, signal handlers included. A quiet control file costs one `fstatat` a call.
//!
//! # What it does not see
//! Reads without a place, reads and writes through memory maps, io_uring, and programs that enter the kernel by themselves (Go, rustix with its
//! default back end). `ftruncate` is left alone: making a file longer takes no space, so it does not fail on full
//! disks either.

mod control;
mod interpose;
mod kernel;

//! How the process ends when it may not end in the usual way.
//!
//! Returning from `main` runs the destructors of RocksDB's globals, and those take away locks under which its threads, and ours
//! that are inside it, still run: such a process ends by SIGABRT every now and then, instead of with its exit code. Waiting for these
//! threads is no way out either. They may be stuck in a disk that fails, and closing a database writes to it once more.
//!
//! So a process that has failed says why and is gone. What is on its disk is what a crash leaves, and every start copes with that.

use std::io;

/// The exit code of a process that could not go on.
const FAILED: i32 = 1;

/// Lets `last_words` write to standard error, and ends the process with exit code 1. Nothing is written after them: the other threads
/// can write no more.
pub(crate) fn end_after(last_words: impl FnOnce()) -> ! {
    // Every line of the log goes through this lock. This thread may take it again.
    let _silence = io::stderr().lock();
    last_words();
    // `exit_group`, without what `exit` runs before.
    signal_hook::low_level::exit(FAILED)
}

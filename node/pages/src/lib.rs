//! Memory that the kernel sends as it lies there.
//!
//! What is written to a socket is copied into the kernel, byte by byte, for each viewer: for 100 KB that is more work than all else of a
//! hit. The kernel can also take hold of the pages that content is in (`vmsplice(2)`) and send them (`splice(2)`), if nobody writes to them
//! meanwhile. So content that is asked for again and again is put where nobody does:
//!
//! ```text
//!   copy(bytes) ──► a block in a chunk of 2 MiB ──► Bytes, whose address is in the arena ──► through hyper, as any other
//!                                                                                                  │
//!   the last block of a chunk goes ──► its memory is given back          send(socket, [head, Bytes]) ── by its address it is known
//!
//!   send:   head ── copied ──► slate of the thread ──┐
//!           Bytes ───────────────────────────────────┴──► pipe of the thread ──► socket
//! ```
//! A head goes the same way as what is behind it, so that it takes no call and no packet of its own. Each thread that sends has a pipe and a
//! slate of 256 KiB.
//!
//! Who reads such [`Bytes`] sees memory like any other. Only who writes to a socket, with [`send`], knows them, by their address.
//!
//! Chunks that are shared are large pages where the system has any: taking hold of 25 small pages costs more than all that is saved by
//! not copying them, for each has a counter of its own somewhere in memory. Long blocks share no chunk, and have no more memory than they need.
//!
//! # What holds
//!
//! 1. **A byte is written once.** A block is filled before anybody has it, and never again. Its place has nobody else until the memory of the whole chunk was given
//!    back and there is new memory in its place; and so it is with a slate that is full. What the kernel is still sending then stays as it was, for
//!    the kernel holds the pages themselves, until the peer has them.
//! 2. **Shared chunks take little more than what is in them**: no more than twice that, and 8 MiB, whenever one is added. Whoever sees content that is
//!    asked for in a chunk of which little is in use ([`is_sparse`]) copies it to another, so that the chunk goes.
//! 3. **It can always be done without.** Where there is no such memory, there is no block, and the bytes stay where they are; where there is no pipe, or no
//!    large page, they are sent all the same.
//!
//! There is one arena in a process, made when it is first wanted. It is [`ADDRESSES`] of addresses; memory is used only for what is in chunks.

mod arena;
mod block;
mod pipe;
mod send;
mod slate;

pub use arena::{ADDRESSES, CHUNK_BYTES};
pub use block::{copy, holds, is_sparse};
pub use send::{SENT_BYTES_MIN, send};

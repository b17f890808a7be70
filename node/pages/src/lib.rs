//! Memory that the kernel sends as it lies there.
//!
//! What is written to a socket is copied into the kernel, byte by byte, for each viewer: for 100 KB that is more work than all else of a
//! hit. What is in a *file* the kernel can send by taking hold of the file's pages (`sendfile(2)`), and a file may be one that is only in
//! memory (`memfd_create(2)`). So content that is asked for again and again is put into the pages of such a file, which is mapped too:
//!
//! ```text
//!   copy(bytes) ──► a block of the file in memory ──► Bytes, whose address is in the mapping ──► through hyper, as any other
//!                                                                                                     │
//!   the last of these Bytes goes ──► its pages are taken out of the file        send(socket, [head, Bytes]) ── by its address it is known
//! ```
//! Who reads such [`Bytes`] sees memory like any other. Only who writes to a socket, with [`send`], knows them, by their address.
//!
//! # What holds
//!
//! 1. **A page is written once.** A block is filled before anybody has it, and never again: when its last holder goes its pages are taken out
//!    of the file, and the next to have its place gets new ones. What the kernel is still sending then stays as it was, for the kernel holds
//!    the pages themselves, until the peer has them.
//! 2. **Blocks do not touch.** Each has its place of [`BLOCK_BYTES`] in the file and in the mapping, whole: also where a page of the system is as large
//!    as that, no page belongs to two blocks.
//! 3. **It can always be done without.** Where there is no such file or no room, there is no block, and the bytes stay where they are.
//!
//! There is one such file in a process, made when it is first wanted. The mapping is [`MAPPED_BYTES`] of addresses; memory is used only for
//! what is in blocks, and by whoever holds them that is bounded.

mod block;
mod send;

pub use block::{BLOCK_BYTES, MAPPED_BYTES, copy, holds};
pub use send::{SENT_BYTES_MIN, any_in_block, send};

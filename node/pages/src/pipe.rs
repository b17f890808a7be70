//! The way of a block into a socket: its pages are taken hold of by a pipe (`vmsplice(2)`), and go from there to the socket (`splice(2)`).

use std::{
    fs::{File, OpenOptions},
    os::fd::{AsFd, OwnedFd},
    sync::OnceLock,
};

use rustix::{
    io::Errno,
    param::page_size,
    pipe::{IoSliceRaw, PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice, vmsplice},
};

/// A pipe that is empty whenever nobody sends.
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// The most bytes of a block that it takes, wherever in a page they begin, behind what one page has room for.
    room: usize,
}

/// How much a pipe is to have room for, in bytes: as much as a socket often takes at once. Of more, much would be taken hold of for nothing.
const WANTED_BYTES: usize = 256 << 10;

impl Pipe {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // It also works with less room.
        let _ = fcntl_setpipe_size(&writer, WANTED_BYTES);
        let room = fcntl_getpipe_size(&writer)?.saturating_sub(2 * page_size()).max(1);
        Ok(Self { reader, writer, room })
    }

    /// Takes hold of what is on a slate, and of as much of a block behind it as there is room for, and says how many bytes that are. The pipe must be
    /// empty.
    pub(crate) fn hold(&self, before: &[u8], block: &[u8]) -> rustix::io::Result<usize> {
        let now = &block[..block.len().min(self.room)];
        let pieces = [before, now].map(IoSliceRaw::from_slice);
        // SAFETY: what is in a block, or on a slate, does not change as long as anybody has its memory, and this counts among those: its memory is
        // taken out of the mapping when it is given back, and not written to.
        unsafe { vmsplice(&self.writer, if before.is_empty() { &pieces[1..] } else { &pieces }, SpliceFlags::NONBLOCK) }
    }

    /// Sends as much of what it holds as the socket takes. If the rest cannot be taken out, the pipe is not to be used again.
    pub(crate) fn send(self, socket: &impl AsFd, held: usize) -> Sent {
        let mut sent = 0;
        let mut result = Ok(());
        while sent < held && result.is_ok() {
            match splice(&self.reader, None, socket, None, held - sent, SpliceFlags::empty()) {
                Ok(0) => break,
                Ok(more) => sent += more,
                Err(Errno::INTR) => {}
                Err(error) => result = Err(error),
            }
        }
        let result = if sent > 0 { Ok(sent) } else { result.map(|()| 0) };
        Sent { result, pipe: self.without(held - sent) }
    }

    /// Takes out what is left.
    fn without(self, mut left: usize) -> Option<Self> {
        while left > 0 {
            match splice(&self.reader, None, nowhere()?, None, left, SpliceFlags::NONBLOCK) {
                Ok(0) => return None,
                Ok(taken) => left -= taken,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(self)
    }
}

/// Where what does not get into a socket goes.
fn nowhere() -> Option<&'static File> {
    static NOWHERE: OnceLock<Option<File>> = OnceLock::new();
    NOWHERE.get_or_init(|| OpenOptions::new().write(true).open("/dev/null").ok()).as_ref()
}

/// What became of what a pipe held.
pub(crate) struct Sent {
    /// How many bytes of it are on their way.
    pub(crate) result: rustix::io::Result<usize>,
    /// The pipe, if it is empty.
    pub(crate) pipe: Option<Pipe>,
}

//! The way of a block into a socket: its pages are taken hold of by a pipe (`vmsplice(2)`), and go from there to the socket (`splice(2)`).

use std::{
    fs::OpenOptions,
    os::fd::{AsFd, OwnedFd},
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
    /// Where what does not get into a socket goes.
    nowhere: OwnedFd,
    /// The most bytes that it takes, wherever in a page they begin.
    room: usize,
}

/// How much a pipe is to have room for, in bytes: what the system lets anybody have, if its operator did not change that.
const WANTED_BYTES: usize = 1 << 20;

impl Pipe {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // It also works with less room.
        let _ = fcntl_setpipe_size(&writer, WANTED_BYTES);
        let room = fcntl_getpipe_size(&writer)?.saturating_sub(page_size()).max(1);
        let nowhere =
            OpenOptions::new().write(true).open("/dev/null").map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Self { reader, writer, nowhere: nowhere.into(), room })
    }

    /// Sends as much of a block as the socket takes, and the pipe. If it fails, or what remained in the pipe could not be taken out, the pipe is not to
    /// be used again, which [`Sent::pipe`] says.
    pub(crate) fn send(self, socket: &impl AsFd, block: &[u8]) -> Sent {
        let now = &block[..block.len().min(self.room)];
        // SAFETY: what is in a block does not change as long as anybody has its memory, and this counts among those: its memory is taken out of the
        // mapping when it is given back, and not written to.
        let held = match unsafe { vmsplice(&self.writer, &[IoSliceRaw::from_slice(now)], SpliceFlags::NONBLOCK) } {
            Ok(held) => held,
            Err(error) => return Sent { result: Err(error), pipe: None },
        };
        let (mut sent, mut failed) = (0, None);
        while sent < held {
            match splice(&self.reader, None, socket, None, held - sent, SpliceFlags::empty()) {
                Ok(0) => break,
                Ok(more) => sent += more,
                Err(Errno::INTR) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let result = match failed {
            Some(error) if sent == 0 => Err(error),
            _ => Ok(sent),
        };
        Sent { result, pipe: self.without(held - sent) }
    }

    /// Takes out what is left.
    fn without(self, mut left: usize) -> Option<Self> {
        while left > 0 {
            match splice(&self.reader, None, &self.nowhere, None, left, SpliceFlags::NONBLOCK) {
                Ok(0) => return None,
                Ok(taken) => left -= taken,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(self)
    }
}

/// What became of a block.
pub(crate) struct Sent {
    /// How many bytes of it are on their way.
    pub(crate) result: rustix::io::Result<usize>,
    /// The pipe, if it is empty.
    pub(crate) pipe: Option<Pipe>,
}

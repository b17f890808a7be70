//! Writing to a socket, with what is in blocks sent from where it lies.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    os::fd::AsFd,
};

use rustix::{
    io::Errno,
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
};

use crate::{block::holds, pipe::Pipe, slate::Slate};

/// Fewer bytes than these are copied, in bytes: that costs less than calls of their own.
pub const SENT_BYTES_MIN: usize = 16 << 10;

/// How many pieces the system takes at once: `UIO_MAXIOV`.
const PIECES_MAX: usize = 1_024;

/// Sends as much of `pieces` as the socket takes at once, in their order, and says how many bytes that were. What was in blocks is being sent from there,
/// also when it is given back meanwhile.
///
/// # Errors
/// Those of `sendmsg(2)`, `vmsplice(2)` and `splice(2)`, with [`io::ErrorKind::WouldBlock`] if a socket that does not block takes nothing. An error after a
/// part was sent is told by the next call.
pub fn send(socket: impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut sent = 0;
    let mut rest = pieces;
    while !rest.is_empty() {
        let (before, behind) = rest.split_at(rest.iter().take_while(|piece| !in_block(piece)).count());
        let (result, wanted) = match behind.split_first() {
            Some((block, later)) => {
                rest = later;
                (as_it_lies(&socket, before, block), length(before) + block.len())
            }
            None => {
                rest = behind;
                (copy(&socket, before, SendFlags::empty()), length(before))
            }
        };
        match result {
            Ok(taken) => sent += taken,
            Err(_) if sent > 0 => return Ok(sent),
            Err(error) => return Err(error.into()),
        }
        if result != Ok(wanted) {
            break;
        }
    }
    Ok(sent)
}

thread_local! {
    /// What a thread sends with: there while it does not send.
    static WAY: Cell<Option<Way>> = const { Cell::new(None) };
}

/// What sends without copying.
struct Way {
    pipe: Pipe,
    slate: Slate,
}

impl Way {
    fn new() -> rustix::io::Result<Self> {
        Ok(Self { pipe: Pipe::new()?, slate: Slate::new()? })
    }
}

/// Sends what stands before a block, and of the block without copying it, if this thread can have the way for it, and the system has such ways.
fn as_it_lies(socket: &impl AsFd, before: &[IoSlice<'_>], block: &IoSlice<'_>) -> rustix::io::Result<usize> {
    let Some(Way { pipe, mut slate }) = WAY.take().or_else(|| Way::new().ok()) else { return one_by_one(socket, before, block) };
    let Some(head) = slate.put(before) else {
        WAY.set(Some(Way { pipe, slate }));
        return one_by_one(socket, before, block);
    };
    let Ok(held @ 1..) = pipe.hold(head, block) else { return one_by_one(socket, before, block) };
    let sent = pipe.send(socket, held);
    WAY.set(sent.pipe.map(|pipe| Way { pipe, slate }));
    match sent.result {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => one_by_one(socket, before, block),
        result => result,
    }
}

/// What does not fit on a slate is copied first. A block with nothing before it is copied if it is not sent from where it lies.
fn one_by_one(socket: &impl AsFd, before: &[IoSlice<'_>], block: &IoSlice<'_>) -> rustix::io::Result<usize> {
    if before.is_empty() { copy(socket, &[*block], SendFlags::empty()) } else { copy(socket, before, SendFlags::MORE) }
}

fn copy(socket: &impl AsFd, pieces: &[IoSlice<'_>], flags: SendFlags) -> rustix::io::Result<usize> {
    let pieces = &pieces[..pieces.len().min(PIECES_MAX)];
    sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags | SendFlags::NOSIGNAL)
}

fn length(pieces: &[IoSlice<'_>]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

fn in_block(piece: &[u8]) -> bool {
    piece.len() >= SENT_BYTES_MIN && holds(piece)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, IoSlice, Read},
        net::{TcpListener, TcpStream},
    };

    use bytes::Bytes;

    use super::{in_block as is_in_block, send};
    use crate::copy;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let sender = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
        (sender, listener.accept().expect("accepted").0)
    }

    fn pattern(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 + seed).to_le_bytes()[0]).collect()
    }

    fn in_block(length: usize, seed: usize) -> Bytes {
        copy(&pattern(length, seed)).expect("a block")
    }

    #[test]
    fn heads_and_blocks_arrive_in_their_order() {
        let (sender, mut receiver) = connected();
        // One piece is too long to stand before a block; and there are more than the system takes at once.
        let mut pieces =
            vec![Bytes::from_static(b"head"), in_block(100_000, 1), Bytes::from(pattern(20_000, 2)), in_block(50_000, 3), in_block(10, 4)];
        pieces.extend((0..2_000).map(|seed| Bytes::from(pattern(1, seed))));
        let expected = pieces.concat();
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            receiver.read_to_end(&mut read).expect("read");
            read
        });
        let mut sent = 0;
        while sent < expected.len() {
            let mut skip = sent;
            let mut rest = Vec::new();
            for piece in &pieces {
                let from = skip.min(piece.len());
                skip -= from;
                if from < piece.len() {
                    rest.push(IoSlice::new(&piece[from..]));
                }
            }
            let taken = send(&sender, &rest).expect("sent");
            assert!(taken > 0);
            sent += taken;
        }
        drop(sender);
        assert_eq!(reading.join().expect("no panic"), expected);
    }

    /// The kernel holds the pages themselves: whoever has the place next does not write into what is on its way.
    #[test]
    fn what_is_being_sent_is_not_changed_by_who_comes_after() {
        let (sender, mut receiver) = connected();
        sender.set_nonblocking(true).expect("does not block");
        let (mut expected, mut queued) = (Vec::new(), 0);
        for seed in 0.. {
            let (head, block) = (pattern(3_000, seed), in_block(60_000, seed));
            match send(&sender, &[IoSlice::new(&head), IoSlice::new(&block)]) {
                Ok(taken) => {
                    expected.extend_from_slice(&[&head, &block[..]].concat()[..taken]);
                    queued += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(queued > 1, "the socket takes more than one");
        // As many as there are places for in several chunks, and on several slates, so that each place of before has somebody else.
        let (other, mut reader) = connected();
        let reading = std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        for seed in 1_000..1_200 {
            let (head, block) = (pattern(3_000, seed), in_block(60_000, seed));
            send(&other, &[IoSlice::new(&head), IoSlice::new(&block)]).expect("sent");
        }
        drop(other);
        assert!(reading.join().expect("no panic").expect("read") > 200 * 3_000);
        drop(sender);
        let mut read = Vec::new();
        receiver.read_to_end(&mut read).expect("read");
        assert!(read == expected, "what arrived is not what was sent");
    }

    #[test]
    fn only_long_pieces_in_blocks_are_sent_from_there() {
        let block = in_block(100_000, 5);
        let outside = pattern(100_000, 5);
        assert!(is_in_block(&block) && !is_in_block(&outside) && !is_in_block(&block[..100]));
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error() {
        let (sender, receiver) = connected();
        drop(receiver);
        let block = in_block(100_000, 6);
        let error = (0..100).find_map(|_| send(&sender, &[IoSlice::new(&block)]).err()).expect("an error");
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");
    }
}

//! The connection as the framing writes to it: what it writes is kept until there is a record's worth, or until it is to be sent.
//!
//! The framing writes each frame by itself, and flushes after each that has a body. Over TLS that would be a record, and a call of the
//! system, for every small answer; and for a large one two records a frame, for one of the largest frames does not fit into one of the
//! largest records. So a flush does nothing here: [`Wire::poll_send`] is for whoever knows that there is no more to come for now, which is
//! the [driver](super::driver). What is large is handed on as it is, in whole records, and is not copied.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that gathers what is written. Its clones are the same one: the framing owns one, and the driver sends by another.
pub(super) struct Wire<S>(Arc<Mutex<Gathering<S>>>);

struct Gathering<S> {
    stream: S,
    /// Less than [`RECORD_BYTES`], from `sent` on.
    held: Vec<u8>,
    sent: usize,
    /// Whether the stream was written to, and not flushed since.
    unflushed: bool,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        let gathering = Gathering { stream, held: Vec::new(), sent: 0, unflushed: false };
        Self(Arc::new(Mutex::new(gathering)))
    }

    /// Never contended: both ends are in one task.
    fn lock(&self) -> MutexGuard<'_, Gathering<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Sends all that was written.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_send(cx)
    }
}

impl<S> Clone for Wire<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    fn poll_gather(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // The framing has two: the head of a frame, and what is in it.
        let pieces = &pieces[..pieces.len().min(PIECES_MAX)];
        let offered: usize = pieces.iter().map(|piece| piece.len()).sum();
        loop {
            let held = self.held.len() - self.sent;
            let whole = (held + offered) / RECORD_BYTES * RECORD_BYTES;
            if whole == 0 {
                self.hold(pieces, 0);
                return Poll::Ready(Ok(offered));
            }
            let mut slices = [IoSlice::new(&[]); PIECES_MAX + 1];
            slices[0] = IoSlice::new(&self.held[self.sent..]);
            let mut room = whole - held;
            for (slice, piece) in slices[1..].iter_mut().zip(pieces) {
                let length = piece.len().min(room);
                *slice = IoSlice::new(&piece[..length]);
                room -= length;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..=pieces.len()]))?;
            self.unflushed = true;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written < held {
                self.sent += written;
                continue;
            }
            self.clear();
            let taken = written - held;
            if written == whole {
                self.hold(pieces, taken);
                return Poll::Ready(Ok(offered));
            }
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Keeps what is in `pieces` behind the first `skipped` bytes.
    fn hold(&mut self, pieces: &[IoSlice<'_>], mut skipped: usize) {
        if self.held.capacity() == 0 {
            self.held.reserve_exact(RECORD_BYTES);
        }
        if self.sent > 0 {
            self.held.drain(..std::mem::take(&mut self.sent));
        }
        for piece in pieces {
            let from = skipped.min(piece.len());
            self.held.extend_from_slice(&piece[from..]);
            skipped -= from;
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.held.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held[self.sent..]))?;
            self.unflushed = true;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        // Connections that rest are many, and need no memory for this.
        self.held = Vec::new();
        self.sent = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn clear(&mut self) {
        self.held.clear();
        self.sent = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: see above.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gathering = &mut *self.lock();
        ready!(gathering.poll_send(cx))?;
        Pin::new(&mut gathering.stream).poll_shutdown(cx)
    }
}

/// The most that a record of TLS holds (RFC 8446 §5.1).
const RECORD_BYTES: usize = 16 << 10;
const PIECES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::{self, IoSlice},
        pin::Pin,
        task::{Context, Poll},
    };

    use proptest::prelude::*;
    use tokio::io::{AsyncWrite, AsyncWriteExt};

    use super::{RECORD_BYTES, Wire};

    /// What was written to it, write by write; it takes no more than so many bytes at once.
    #[derive(Default)]
    struct Taken {
        writes: Vec<Vec<u8>>,
        at_once_max: usize,
        refuses: bool,
    }

    impl AsyncWrite for Taken {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            self.refuses = !self.refuses && self.at_once_max < RECORD_BYTES;
            if self.refuses {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
            all.truncate(self.at_once_max);
            let length = all.len();
            self.writes.push(all);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes frames of these lengths with a head of nine bytes, as the framing does, and sends after those that say so. What was written,
    /// and what was taken.
    async fn written(frames: &[(usize, bool)], at_once_max: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut wire = Wire::new(Taken { at_once_max, ..Taken::default() });
        let mut all = Vec::new();
        for (at, (length, is_sent)) in frames.iter().enumerate() {
            let mark = u8::try_from(at % 251).expect("small");
            let (head, payload) = (vec![mark; 9], vec![mark ^ 0xff; *length]);
            let mut written = 0;
            while written < 9 + length {
                let pieces = [IoSlice::new(&head[written.min(9)..]), IoSlice::new(&payload[written.saturating_sub(9)..])];
                let more = poll_fn(|cx| Pin::new(&mut wire).poll_write_vectored(cx, &pieces)).await.expect("written");
                assert!(more > 0);
                written += more;
            }
            wire.flush().await.expect("flushed");
            all.extend(head.into_iter().chain(payload));
            if *is_sent {
                poll_fn(|cx| wire.poll_send(cx)).await.expect("sent");
            }
        }
        wire.shutdown().await.expect("shut down");
        let taken = std::mem::take(&mut wire.lock().stream.writes);
        (all, taken)
    }

    #[tokio::test]
    async fn what_is_small_leaves_together_and_what_is_large_in_whole_records() {
        let small = [(1_000, false); 10];
        let (all, taken) = written(&small, usize::MAX).await;
        assert_eq!(taken, [all]);
        let large = [(RECORD_BYTES, false); 6];
        let (all, taken) = written(&large, usize::MAX).await;
        let lengths: Vec<_> = taken.iter().map(Vec::len).collect();
        assert_eq!(lengths, [vec![RECORD_BYTES; 6], vec![6 * 9]].concat());
        assert_eq!(taken.concat(), all);
    }

    proptest! {
        /// Whatever is written, and however little is taken of it at once, it arrives as it is.
        #[test]
        fn nothing_is_lost_or_said_twice(
            frames in proptest::collection::vec((0_usize..40_000, any::<bool>()), 0..12),
            at_once_max in prop_oneof![1_000_usize..20_000, Just(usize::MAX)],
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (all, taken) = runtime.block_on(written(&frames, at_once_max));
            prop_assert!(taken.concat() == all);
        }
    }
}

//! The body of a request as it was sent, for the case that it has to be sent once more.
//!
//! A connection that was used before may be ended by the origin just as a request goes out over it. What may be carried out twice is then sent again over a
//! new one, and so is its body, if it had been sent to its end and is short: of long ones no copy is kept.

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use parking_lot::Mutex;

/// The most of a body that is kept, in bytes.
pub(crate) const KEPT_BYTES_MAX: usize = 64 << 10;

/// What was sent of a body.
#[derive(Debug)]
pub(crate) struct Replay(Mutex<Sent>);

#[derive(Debug)]
enum Sent {
    /// This, and more may come.
    Begun(BytesMut),
    /// This, which is all.
    Whole(Bytes),
    /// What is not kept: too much, or something besides content.
    Lost,
}

impl Replay {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Sent::Begun(BytesMut::new())))
    }

    /// Notes what is sent next.
    pub(crate) fn note(&self, frame: &Frame<Bytes>) {
        let mut sent = self.0.lock();
        if let Sent::Begun(kept) = &mut *sent {
            match frame.data_ref().filter(|data| kept.len() + data.len() <= KEPT_BYTES_MAX) {
                Some(data) => kept.extend_from_slice(data),
                None => *sent = Sent::Lost,
            }
        }
    }

    /// Notes that nothing failed, and nothing more comes.
    pub(crate) fn end(&self) {
        let mut sent = self.0.lock();
        if let Sent::Begun(kept) = &mut *sent {
            *sent = Sent::Whole(std::mem::take(kept).freeze());
        }
    }

    /// All of the body, if it is here.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &*self.0.lock() {
            Sent::Whole(bytes) => Some(bytes.clone()),
            Sent::Begun(_) | Sent::Lost => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use http_body::Frame;

    use super::{KEPT_BYTES_MAX, Replay};

    #[test]
    fn what_was_sent_to_its_end_is_there_whole() {
        let replay = Replay::new();
        for piece in ["ab", "", "c"] {
            replay.note(&Frame::data(Bytes::from_static(piece.as_bytes())));
            assert_eq!(replay.whole(), None, "more may come");
        }
        replay.end();
        assert_eq!(replay.whole().expect("all"), "abc");
    }

    #[test]
    fn what_is_long_or_has_trailers_is_not_kept() {
        for (frames, is_kept) in [
            (vec![Frame::data(Bytes::from(vec![1; KEPT_BYTES_MAX]))], true),
            (vec![Frame::data(Bytes::from(vec![1; KEPT_BYTES_MAX])), Frame::data(Bytes::from_static(b"1"))], false),
            (vec![Frame::data(Bytes::from_static(b"1")), Frame::trailers(HeaderMap::new())], false),
        ] {
            let replay = Replay::new();
            frames.iter().for_each(|frame| replay.note(frame));
            replay.end();
            assert_eq!(replay.whole().is_some(), is_kept, "{frames:?}");
        }
    }
}

//! What an origin sends over HTTP/2, frame by frame, as far as the library below lets it pass.
//!
//! `h2` holds origins to most of RFC 9113. What it has no bound for does no harm but to who waits: room for a request that is sent already, beyond
//! what any window may be; interim heads and frames about the connection, one after the other, and never an answer. Whoever sends these would be
//! waited for until the deadline of the head, and be read all the while. Here it ends the connection at the first frame too many.
//!
//! Nothing of a frame is kept but its head, and of no more than [`MOST_STREAMS`] streams what counts.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ErrorKind;

/// Informational responses before the final one, at most.
pub(crate) const MOST_INFORMATIONAL: usize = 32;

/// Frames that bring nothing of a response, one after the other, within [`CHATTER_WITHIN`].
const MOST_CHATTER: u64 = 1_000;
/// One more for each so many bytes that were sent: they may tell of room for more.
const CHATTER_BYTES: u64 = 64;
const CHATTER_WITHIN: Duration = Duration::from_secs(10);

/// Streams of which anything is known, at most. Of more, the oldest are forgotten.
const MOST_STREAMS: usize = 256;

/// RFC 9113 §6.9.1: "A sender MUST NOT allow a flow-control window to exceed 2^31-1 octets."
const LARGEST_WINDOW: u64 = (1 << 31) - 1;

/// What an origin must not do, and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// It gives more room than a window may have.
    #[error("a flow-control window beyond all bounds")]
    Window,
    /// It sends heads that are interim, without an end.
    #[error("too many heads of one response")]
    Heads,
    /// It sends frames that bring nothing, without an end.
    #[error("too many frames that bring nothing")]
    Chatter,
}

impl Breach {
    /// What it means for a request that waits for the head of its response.
    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::Window | Self::Chatter => ErrorKind::Malformed,
            Self::Heads => ErrorKind::TooManyInformational,
        }
    }
}

/// Reads what comes over a connection.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Of the head of the next frame.
    head: [u8; HEAD],
    head_bytes: usize,
    frame: Frame,
    /// Bytes of the frame's payload that are to come.
    left: usize,
    /// The present entry of a payload that matters.
    entry: [u8; ENTRY],
    entry_bytes: usize,
    /// What the origin lets a stream send at first.
    first_window: u64,
    streams: BTreeMap<u32, Stream>,
    chatter: Chatter,
}

/// The frame that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Settings,
    Window { stream: u32 },
    Other,
}

/// What counts of a stream.
#[derive(Debug, Default)]
struct Stream {
    heads: usize,
    /// Bytes by which its window was enlarged.
    room: u64,
}

/// Frames that brought nothing, since one did.
#[derive(Debug)]
struct Chatter {
    frames: u64,
    since: Instant,
    /// What had been sent by then.
    sent: u64,
}

const HEAD: usize = 9;
/// Of a setting: its name and its value.
const ENTRY: usize = 6;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            head: [0; HEAD],
            head_bytes: 0,
            frame: Frame::Other,
            left: 0,
            entry: [0; ENTRY],
            entry_bytes: 0,
            // RFC 9113 §6.5.2: "The initial value is 2^16-1 (65,535) octets."
            first_window: 65_535,
            streams: BTreeMap::new(),
            chatter: Chatter { frames: 0, since: Instant::now(), sent: 0 },
        }
    }

    /// Takes bytes that came when so many had been sent. After a breach there is no going on.
    pub(crate) fn came(&mut self, mut bytes: &[u8], sent: u64) -> Result<(), Breach> {
        loop {
            let payload = take(&mut bytes, self.left);
            self.left -= payload.len();
            self.payload(payload, sent)?;
            if self.left > 0 || bytes.is_empty() {
                return Ok(());
            }
            if fill(&mut self.head, &mut self.head_bytes, &mut bytes) {
                self.begin(sent)?;
            }
        }
    }

    /// A frame whose head is there.
    fn begin(&mut self, sent: u64) -> Result<(), Breach> {
        let [a, b, c, kind, flags, d, e, f, g] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.entry_bytes = 0;
        let stream = u32::from_be_bytes([d & 0x7F, e, f, g]);
        self.frame = match kind {
            SETTINGS => Frame::Settings,
            WINDOW_UPDATE => Frame::Window { stream },
            _ => Frame::Other,
        };
        if kind == HEADERS {
            let known = self.stream(stream);
            known.heads += 1;
            // The final one and trailers come besides.
            if known.heads > MOST_INFORMATIONAL + 2 {
                return Err(Breach::Heads);
            }
        }
        if kind == RESET || matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.streams.remove(&stream);
        }
        match kind {
            DATA | HEADERS | CONTINUATION => {
                self.chatter.frames = 0;
                Ok(())
            }
            _ => self.chatter.one_more(sent),
        }
    }

    /// More of the payload of the present frame.
    fn payload(&mut self, mut bytes: &[u8], sent: u64) -> Result<(), Breach> {
        let length = match self.frame {
            Frame::Settings => ENTRY,
            Frame::Window { .. } => 4,
            Frame::Other => return Ok(()),
        };
        while !bytes.is_empty() {
            if fill(&mut self.entry[..length], &mut self.entry_bytes, &mut bytes) {
                self.judge(sent)?;
            }
        }
        Ok(())
    }

    /// An entry that is there.
    fn judge(&mut self, sent: u64) -> Result<(), Breach> {
        let [a, b, c, d, e, f] = self.entry;
        match self.frame {
            Frame::Settings if u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE => {
                self.first_window = u32::from_be_bytes([c, d, e, f]).into();
            }
            // The window of the connection is the library's business: it is held to its bound whatever is sent.
            Frame::Window { stream } if stream != 0 => {
                let first = self.first_window;
                let known = self.stream(stream);
                known.room = known.room.saturating_add(u32::from_be_bytes([a & 0x7F, b, c, d]).into());
                // Of what was sent over the connection, this stream has used all at most.
                if first.saturating_add(known.room).saturating_sub(sent) > LARGEST_WINDOW {
                    return Err(Breach::Window);
                }
            }
            Frame::Settings | Frame::Window { .. } | Frame::Other => {}
        }
        Ok(())
    }

    fn stream(&mut self, number: u32) -> &mut Stream {
        if self.streams.len() >= MOST_STREAMS && !self.streams.contains_key(&number) {
            self.streams.pop_first();
        }
        self.streams.entry(number).or_default()
    }
}

impl Chatter {
    fn one_more(&mut self, sent: u64) -> Result<(), Breach> {
        if self.frames == 0 || self.frames >= self.allowed(sent) && self.since.elapsed() >= CHATTER_WITHIN {
            *self = Self { frames: 0, since: Instant::now(), sent };
        }
        self.frames += 1;
        if self.frames > self.allowed(sent) { Err(Breach::Chatter) } else { Ok(()) }
    }

    const fn allowed(&self, sent: u64) -> u64 {
        MOST_CHATTER + sent.saturating_sub(self.sent) / CHATTER_BYTES
    }
}

/// Goes on filling `buffer`, of which `filled` bytes are there, from the front of `bytes`. Whether it is full, and the next begins.
fn fill(buffer: &mut [u8], filled: &mut usize, bytes: &mut &[u8]) -> bool {
    let part = take(bytes, buffer.len() - *filled);
    buffer[*filled..*filled + part.len()].copy_from_slice(part);
    *filled += part.len();
    let is_full = *filled == buffer.len();
    if is_full {
        *filled = 0;
    }
    is_full
}

/// As many of the next bytes as there are, up to a number.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (now, later) = bytes.split_at(bytes.len().min(most));
    *bytes = later;
    now
}

#[cfg(test)]
mod tests {
    use super::{
        Breach, CHATTER_BYTES, CHATTER_WITHIN, CONTINUATION, DATA, END_STREAM, Frames, HEADERS, MOST_CHATTER, MOST_INFORMATIONAL,
        MOST_STREAMS, RESET, SETTINGS, WINDOW_UPDATE,
    };

    const PING: u8 = 6;
    const ROOM: [u8; 4] = 0x7FFF_FFFF_u32.to_be_bytes();

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// Takes the same in one piece, and byte by byte.
    fn taken(frames: &[Vec<u8>], sent: u64) -> Result<(), Breach> {
        let bytes = frames.concat();
        let whole = Frames::new().came(&bytes, sent);
        let mut in_bytes = Frames::new();
        assert_eq!(bytes.iter().try_for_each(|byte| in_bytes.came(&[*byte], sent)), whole);
        whole
    }

    #[tokio::test]
    async fn a_window_is_never_larger_than_any_may_be() {
        let room = || frame(WINDOW_UPDATE, 0, 1, &ROOM);
        assert_eq!(taken(&[room()], 0), Err(Breach::Window), "65,535 too many");
        assert_eq!(taken(&[frame(WINDOW_UPDATE, 0, 1, &0xFFFF_FFFF_u32.to_be_bytes())], 0), Err(Breach::Window), "a bit that is reserved");
        assert_eq!(taken(&[room()], 65_535), Ok(()), "as much as was sent");
        assert_eq!(taken(&[room(), room()], 65_535), Err(Breach::Window), "two that go together");
        assert_eq!(taken(&[room(), frame(WINDOW_UPDATE, 0, 3, &ROOM)], 65_535), Ok(()), "each on a stream of its own");
        assert_eq!(taken(&[room(), frame(RESET, 0, 1, &[0; 4]), room()], 65_535), Ok(()), "that of a stream that is over");
        let none = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9, 0, 4, 0, 0, 0, 0]);
        assert_eq!(taken(&[none, room()], 0), Ok(()), "a first window of nothing");
        assert_eq!(taken(&[frame(DATA, 0, 1, &room())], 0), Ok(()), "what stands in content is no frame");
    }

    #[tokio::test]
    async fn heads_have_an_end() {
        let heads = |count: usize| (0..count).map(|_| frame(HEADERS, 4, 1, &[0x88])).collect::<Vec<_>>();
        assert_eq!(taken(&heads(MOST_INFORMATIONAL + 2), 0), Ok(()));
        assert_eq!(taken(&heads(MOST_INFORMATIONAL + 3), 0), Err(Breach::Heads));
        let each: Vec<_> = (0..10_000).map(|number| frame(HEADERS, 4 | END_STREAM, 2 * number + 1, &[0x88])).collect();
        assert_eq!(taken(&each, 0), Ok(()), "one of each stream");
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_bring_nothing_have_an_end() {
        let most = usize::try_from(MOST_CHATTER).unwrap();
        for nothing in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8]), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])] {
            let (mut frames, many) = (Frames::new(), vec![nothing.clone(); most].concat());
            assert_eq!(frames.came(&many, 0), Ok(()));
            assert_eq!(frames.came(&frame(CONTINUATION, 4, 1, &[]), 0), Ok(()));
            assert_eq!(frames.came(&many, 0), Ok(()), "something came between");
            assert_eq!(frames.came(&nothing, CHATTER_BYTES), Ok(()), "something was sent");
            tokio::time::advance(CHATTER_WITHIN).await;
            assert_eq!(frames.came(&many, CHATTER_BYTES), Ok(()), "it took its time");
            assert_eq!(frames.came(&nothing, CHATTER_BYTES), Err(Breach::Chatter));
        }
    }

    #[tokio::test]
    async fn no_more_is_kept_than_of_so_many_streams() {
        let mut frames = Frames::new();
        for number in 0..10_000 {
            frames.came(&frame(HEADERS, 4, 2 * number + 1, &[0x88]), 0).unwrap();
        }
        assert_eq!(frames.streams.len(), MOST_STREAMS);
    }
}

//! Bytes in a coding, on a thread of its own that stands back behind everything else.
//!
//! What is made here is kept and sent often, so levels are high; they are lower for long content, of which a byte costs more. What comes
//! out is decoded again and compared: whoever gets a variant relies on it as on the content itself.

use std::io::{self, Read, Write};

use bytes::Bytes;
use ncore_cache::content_coding::Coding;
use tokio::sync::oneshot;
use zstd_safe::{CCtx, CParameter};

/// What came of an encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// It is so much smaller that it is worth its room.
    Smaller(Bytes),
    /// It is not.
    NotWorthIt,
    /// The encoder failed, or what it made is not the content.
    Failed,
}

/// Of what length on a byte is encoded with less effort.
const LONG_BYTES: usize = 256 << 10;
/// A variant has to save a twentieth.
const SAVED_AT_LEAST: usize = 20;
/// The lowest priority that there is.
const NICENESS: i32 = 19;

/// Encodes on a thread of its own. It is not waited for if this future is dropped.
pub(crate) async fn encode(content: Bytes, coding: Coding) -> Encoded {
    let (answer, answered) = oneshot::channel();
    let work = move || {
        // Without it the thread competes as others do, and nothing is wrong.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        let _ = answer.send(encode_here(&content, coding));
    };
    if let Err(error) = std::thread::Builder::new().name("variants".to_owned()).spawn(work) {
        tracing::warn!(%error, "no thread to encode on");
        return Encoded::Failed;
    }
    // A thread that panicked has dropped its end.
    answered.await.unwrap_or(Encoded::Failed)
}

/// Encodes and compares. Blocks for up to some seconds.
fn encode_here(content: &[u8], coding: Coding) -> Encoded {
    let mut room = Room { bytes: Vec::new(), limit: content.len() - content.len().div_ceil(SAVED_AT_LEAST) };
    let done = match coding {
        Coding::Br => brotli(content, &mut room),
        Coding::Zstd => zstd(content, &mut room),
        Coding::Gzip => gzip(content, &mut room),
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => return Encoded::NotWorthIt,
        Err(error) => {
            tracing::error!(coding = coding.as_str(), %error, "an encoder failed");
            return Encoded::Failed;
        }
        Ok(()) => {}
    }
    if !is_the_same(content, &room.bytes, coding) {
        tracing::error!(coding = coding.as_str(), "what was encoded does not decode to what it was");
        return Encoded::Failed;
    }
    Encoded::Smaller(Bytes::from(room.bytes))
}

/// Takes bytes until there are too many to be worth it.
struct Room {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gzip(content: &[u8], room: &mut Room) -> io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish().map(drop)
}

fn brotli(mut content: &[u8], room: &mut Room) -> io::Result<()> {
    let quality = if content.len() < LONG_BYTES { 11 } else { 9 };
    let params = brotli::enc::BrotliEncoderParams { quality, lgwin: 22, size_hint: content.len(), ..Default::default() };
    brotli::BrotliCompress(&mut content, room, &params).map(drop)
}

fn zstd(content: &[u8], room: &mut Room) -> io::Result<()> {
    let level = if content.len() < LONG_BYTES { 19 } else { 15 };
    let mut encoder = CCtx::create();
    // 8 MiB, the most that decoders of this coding must have.
    for parameter in [CParameter::CompressionLevel(level), CParameter::WindowLog(23), CParameter::ContentSizeFlag(true)] {
        encoder.set_parameter(parameter).map_err(zstd_failed)?;
    }
    let mut bytes = vec![0; zstd_safe::compress_bound(content.len())];
    let length = encoder.compress2(bytes.as_mut_slice(), content).map_err(zstd_failed)?;
    room.write_all(&bytes[..length])
}

fn zstd_failed(code: usize) -> io::Error {
    io::Error::other(zstd_safe::get_error_name(code))
}

/// Decodes and compares, without keeping what comes out.
fn is_the_same(content: &[u8], encoded: &[u8], coding: Coding) -> bool {
    match coding {
        Coding::Br => reads_as(brotli::Decompressor::new(encoded, 16 << 10), content),
        Coding::Gzip => reads_as(flate2::read::GzDecoder::new(encoded), content),
        Coding::Zstd => {
            let mut decoded = vec![0; content.len()];
            zstd_safe::decompress(decoded.as_mut_slice(), encoded).is_ok_and(|length| decoded[..length] == *content)
        }
    }
}

fn reads_as(mut decoder: impl Read, mut content: &[u8]) -> bool {
    let mut piece = vec![0; 64 << 10];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return content.is_empty(),
            Ok(length) => match content.strip_prefix(&piece[..length]) {
                Some(rest) => content = rest,
                None => return false,
            },
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        (0_u64..).flat_map(|line| format!("line {line} of {}\n", line.wrapping_mul(0x9e37_79b9) % 977).into_bytes()).take(bytes).collect()
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut noise = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn text_gets_smaller_and_is_the_same() {
        for bytes in [1_024, LONG_BYTES - 1, LONG_BYTES, 3 << 20] {
            let content = text(bytes);
            for coding in Coding::ALL {
                let Encoded::Smaller(encoded) = encode_here(&content, coding) else { panic!("{coding:?} of {bytes}") };
                assert!(encoded.len() < bytes * 95 / 100, "{coding:?}: {} of {bytes}", encoded.len());
                assert!(is_the_same(&content, &encoded, coding));
            }
        }
    }

    #[test]
    fn noise_is_not_worth_it() {
        for coding in Coding::ALL {
            assert_eq!(encode_here(&noise(100_000), coding), Encoded::NotWorthIt, "{coding:?}");
        }
    }

    #[test]
    fn what_decodes_to_something_else_is_noticed() {
        let content = text(10_000);
        for coding in Coding::ALL {
            let Encoded::Smaller(encoded) = encode_here(&content, coding) else { panic!("{coding:?}") };
            let mut other = content.clone();
            other[5_000] ^= 1;
            assert!(!is_the_same(&other, &encoded, coding));
            assert!(!is_the_same(&content[..9_999], &encoded, coding));
            assert!(!is_the_same(&content, &encoded[..encoded.len() - 9], coding));
        }
    }

    /// RFC 9659: a decoder need not have a window of more than 8 MiB.
    #[test]
    fn the_window_of_zstd_is_bounded() {
        let content = text(12 << 20);
        let Encoded::Smaller(encoded) = encode_here(&content, Coding::Zstd) else { panic!("text") };
        let mut decoder = zstd_safe::DCtx::create();
        decoder.set_parameter(zstd_safe::DParameter::WindowLogMax(23)).expect("a parameter");
        let mut decoded = vec![0; content.len()];
        let mut out = zstd_safe::OutBuffer::around(decoded.as_mut_slice());
        let mut input = zstd_safe::InBuffer::around(&encoded);
        while input.pos < encoded.len() {
            decoder.decompress_stream(&mut out, &mut input).expect("within the window");
        }
        assert_eq!(out.pos(), content.len());
        assert_eq!(decoded, content);
    }
}

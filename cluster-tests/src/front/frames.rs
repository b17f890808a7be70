//! Frames of HTTP/2 (RFC 9113 §4), made by hand so that they can be wrong.

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Content.
    Data = 0,
    /// The fields of a message.
    Headers = 1,
    /// The end of a stream.
    Reset = 3,
    /// What one side wants of the other.
    Settings = 4,
    /// A request that the server makes up.
    Push = 5,
    /// A sign of life.
    Ping = 6,
    /// The end of a connection.
    GoAway = 7,
    /// Room for more content.
    Window = 8,
    /// More fields.
    Continuation = 9,
}

/// A frame that came.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its kind, as a number.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// A frame as bytes.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind as u8, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as HPACK has them, each in full, so that nothing of it is remembered.
#[must_use]
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0x10);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// A number with a prefix of seven bits (RFC 7541 §5.1).
fn length(bytes: &mut Vec<u8>, length: usize) {
    let Some(mut left) = length.checked_sub(0x7F) else { return bytes.push(u8::try_from(length).unwrap_or(0)) };
    bytes.push(0x7F);
    while left >= 0x80 {
        bytes.push(u8::try_from(left % 0x80).unwrap_or(0) | 0x80);
        left /= 0x80;
    }
    bytes.push(u8::try_from(left).unwrap_or(0));
}

impl Frame {
    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u8
    }

    /// The status, if these are the fields of a response: it is the first of them.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let block = without_updates(&self.payload);
        match *block.first()? {
            indexed @ 0x88..=0x8E => [200, 204, 206, 304, 400, 404, 500].get(usize::from(indexed - 0x88)).copied(),
            // A literal value of the name in place 8.
            0x08 | 0x18 | 0x48 => {
                let length = usize::from(block.get(1)? & 0x7F);
                let value = block.get(2..2 + length)?;
                if block[1] & 0x80 == 0 { std::str::from_utf8(value).ok()?.parse().ok() } else { digits(value) }
            }
            _ => None,
        }
    }
}

/// A block of fields without the changes of the table's size that it begins with (RFC 7541 §6.3).
fn without_updates(mut block: &[u8]) -> &[u8] {
    while let [update, rest @ ..] = block
        && update & 0xE0 == 0x20
    {
        let more = if update & 0x1F == 0x1F { rest.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1 } else { 0 };
        block = rest.get(more..).unwrap_or_default();
    }
    block
}

/// Three digits in the code of Huffman (RFC 7541, appendix B): five bits for 0 to 2, six for 3 to 9.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u16, |number, bit| number << 1 | u16::from(*bit));
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(bits.get(at..at + 5)?);
        let (digit, length) = if short <= 2 { (short, 5) } else { (number(bits.get(at..at + 6)?).checked_sub(0x19)? + 3, 6) };
        status = status * 10 + digit;
        at += length;
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::{Frame, Kind, fields, frame};

    #[test]
    fn as_in_the_book() {
        assert_eq!(frame(Kind::Ping, 1, 5, b"ab"), [0, 0, 2, 6, 1, 0, 0, 0, 5, b'a', b'b']);
        assert_eq!(fields(&[("a", "bc")]), [0x10, 1, b'a', 2, b'b', b'c']);
        assert_eq!(fields(&[("", &"x".repeat(1337))])[2..5], [0x7F, 0xBA, 0x09], "RFC 7541 §C.1.2, with a prefix of two bits more");
        let of = |payload: &[u8]| Frame { kind: 1, flags: 4, stream: 1, payload: payload.to_vec() }.status();
        assert_eq!(of(&[0x88]), Some(200));
        assert_eq!(of(&[0x3F, 0x8D, 0x48, 3, b'5', b'0', b'8']), None);
        assert_eq!(of(&[0x20, 0x48, 3, b'5', b'0', b'8']), Some(508));
        // 302 and 307 as in RFC 7541 §C.6.
        assert_eq!(of(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(of(&[0x48, 0x83, 0x64, 0x0E, 0xFF]), Some(307));
    }
}

//! The PROXY protocol, versions 1 and 2: a balancer in front of the node says whose connection it passes on.
//!
//! The header is taken only from addresses that the operator names, and from those it has to come: it would let anybody else pass
//! for anybody. [`proxy_header`] is a pure function over what has come so far. It says how much there has to be at least, so
//! that whoever reads never takes a byte of what comes after.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header. There are at least so many bytes in all.
    Incomplete {
        /// How many.
        length_min: usize,
    },
    /// A header.
    Whole {
        /// Its length in bytes.
        length: usize,
        /// Whose connection it is; `None` if it is the balancer's own, or is none of IP.
        source: Option<SocketAddr>,
    },
    /// No header, or a wrong one.
    Malformed,
}

/// Finds out what `bytes`, the first of a connection, are.
#[must_use]
pub fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    if let Some(rest) = bytes.strip_prefix(&SIGNATURE) {
        return binary(rest);
    }
    if bytes.starts_with(TEXT) {
        return text(bytes).unwrap_or(ProxyHeader::Malformed);
    }
    if SIGNATURE.starts_with(bytes) || TEXT.starts_with(bytes) {
        return ProxyHeader::Incomplete { length_min: SIGNATURE.len() };
    }
    ProxyHeader::Malformed
}

/// Takes a header off `socket`, and nothing that follows. Whose connection it is, if it says so.
///
/// # Errors
/// Whatever reading gives, and `InvalidData` for what is no header.
pub(super) async fn take_header<S: AsyncRead + Unpin>(socket: &mut S) -> io::Result<Option<SocketAddr>> {
    let mut bytes = Vec::with_capacity(64);
    loop {
        match proxy_header(&bytes) {
            ProxyHeader::Whole { source, .. } => return Ok(source),
            ProxyHeader::Malformed => return Err(io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")),
            ProxyHeader::Incomplete { length_min } => {
                let begun = bytes.len();
                bytes.resize(length_min, 0);
                socket.read_exact(&mut bytes[begun..]).await?;
            }
        }
    }
}

/// Version 2, after the signature.
fn binary(rest: &[u8]) -> ProxyHeader {
    let Some((&[what, family, high, low], rest)) = rest.split_first_chunk() else {
        return ProxyHeader::Incomplete { length_min: SIGNATURE.len() + FIXED_LEN };
    };
    let payload = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(what, LOCAL | PROXY) || payload > PAYLOAD_MAX {
        return ProxyHeader::Malformed;
    }
    let length = SIGNATURE.len() + FIXED_LEN + payload;
    let Some(payload) = rest.get(..payload) else { return ProxyHeader::Incomplete { length_min: length } };
    let source = match (what, family) {
        (PROXY, TCP_OVER_IPV4) => address::<4>(payload).map(Some),
        (PROXY, TCP_OVER_IPV6) => address::<16>(payload).map(Some),
        _ => Some(None),
    };
    source.map_or(ProxyHeader::Malformed, |source| ProxyHeader::Whole { length, source })
}

/// Both addresses, then both ports: the first of each.
fn address<const N: usize>(payload: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = payload.split_first_chunk::<N>()?;
    let (_, rest) = rest.split_first_chunk::<N>()?;
    let (&[high, low, _, _], _) = rest.split_first_chunk()?;
    Some(SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([high, low])))
}

/// Version 1; `None` if it is malformed.
fn text(bytes: &[u8]) -> Option<ProxyHeader> {
    let Some(end) = bytes.iter().take(TEXT_MAX).position(|byte| *byte == b'\n') else {
        // There is at least the end of the line to come.
        let missing = if bytes.ends_with(b"\r") { 1 } else { 2 };
        let length_min = (bytes.len() + missing).max(TEXT_MIN);
        return (length_min <= TEXT_MAX).then_some(ProxyHeader::Incomplete { length_min });
    };
    let line = std::str::from_utf8(&bytes[..end]).ok()?.strip_suffix('\r')?;
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(ProxyHeader::Whole { length: end + 1, source: None });
    }
    let mut ip = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, _) = (ip()?, ip()?);
    let (port, _) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(ProxyHeader::Whole { length: end + 1, source: Some(SocketAddr::new(source, port)) })
}

/// In decimal, as it is written: no sign, no zeros before it.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_LEN: usize = 4;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// Addresses and whatever a balancer adds to them.
const PAYLOAD_MAX: usize = 4_096;
const TEXT: &[u8] = b"PROXY ";
/// `PROXY UNKNOWN` and the end of the line.
const TEXT_MIN: usize = 15;
/// With two IPv6 addresses of full length, says the specification.
const TEXT_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{ProxyHeader, SIGNATURE, proxy_header, take_header};

    fn v2(what: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[what, family], &length, payload].concat()
    }

    fn whole(bytes: &[u8]) -> Option<Option<String>> {
        match proxy_header(bytes) {
            ProxyHeader::Whole { source, length } => {
                assert!(length <= bytes.len());
                Some(source.map(|source| source.to_string()))
            }
            ProxyHeader::Malformed => None,
            ProxyHeader::Incomplete { .. } => panic!("incomplete: {bytes:?}"),
        }
    }

    #[test]
    fn headers_of_version_1() {
        let table: [(&str, Option<Option<&str>>); 20] = [
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", Some(Some("192.0.2.1:56324"))),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\nGET /", Some(Some("192.0.2.1:0"))),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Some(Some("[2001:db8::1]:1"))),
            ("PROXY UNKNOWN\r\n", Some(None)),
            ("PROXY UNKNOWN ff:ff ff:ff 1 2\r\n", Some(None)),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 01 443\r\n", None),
            ("PROXY TCP4 192.0.2.1  198.51.100.2 1 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n", None),
            ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", None),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", None),
            ("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", None),
            ("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", None),
            ("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", None),
            ("GET / HTTP/1.1\r\n", None),
            ("\r\nPROXY UNKNOWN\r\n", None),
        ];
        for (header, source) in table {
            assert_eq!(whole(header.as_bytes()), source.map(|source| source.map(str::to_owned)), "{header:?}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(93));
        assert_eq!(proxy_header(endless.as_bytes()), ProxyHeader::Malformed);
    }

    #[test]
    fn headers_of_version_2() {
        let ipv4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0x20, 1, 187];
        let mut ipv6 = [0; 36];
        (ipv6[0], ipv6[15], ipv6[33]) = (0x20, 1, 7);
        let with_more = [&ipv4[..], &[0x04, 0, 1, 0]].concat();
        let table = [
            (v2(0x21, 0x11, &ipv4), Some(Some("192.0.2.1:4128"))),
            (v2(0x21, 0x11, &with_more), Some(Some("192.0.2.1:4128"))),
            (v2(0x21, 0x21, &ipv6), Some(Some("[2000::1]:7"))),
            (v2(0x20, 0x11, &ipv4), Some(None)),
            (v2(0x20, 0x00, &[]), Some(None)),
            (v2(0x21, 0x00, &[]), Some(None)),
            (v2(0x21, 0x31, &[0; 216]), Some(None)),
            (v2(0x21, 0x12, &ipv4), Some(None)),
            (v2(0x21, 0x11, &ipv4[..11]), None),
            (v2(0x21, 0x21, &ipv6[..35]), None),
            (v2(0x22, 0x11, &ipv4), None),
            (v2(0x11, 0x11, &ipv4), None),
            (v2(0x21, 0x11, &[0; 4_097]), None),
        ];
        for (header, source) in table {
            assert_eq!(whole(&header), source.map(|source| source.map(str::to_owned)), "{header:?}");
        }
    }

    /// However it is cut, nothing of what follows is taken.
    #[tokio::test]
    async fn what_follows_is_left() {
        let ipv4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0x20, 1, 187];
        let headers = [b"PROXY UNKNOWN\r\n".to_vec(), b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n".to_vec(), v2(0x21, 0x11, &ipv4)];
        for header in headers {
            let sent = [&header[..], b"\nGET"].concat();
            let mut left = &sent[..];
            take_header(&mut left).await.expect("a header");
            assert_eq!(left, b"\nGET", "{header:?}");
            let mut cut = &header[..header.len() - 1];
            take_header(&mut cut).await.expect_err("half a header");
        }
        let mut other = &b"GET / HTTP/1.1\r\n\r\n"[..];
        take_header(&mut other).await.expect_err("no header");
    }

    proptest! {
        /// Whatever comes, there is an answer, and it does not change with what follows.
        #[test]
        fn the_answer_is_about_the_beginning(mut bytes: Vec<u8>, at in 0_usize..3, more: Vec<u8>) {
            let beginning: &[u8] = [&b""[..], b"PROXY TCP4 ", &SIGNATURE][at];
            bytes.splice(0..0, beginning.iter().copied());
            match proxy_header(&bytes) {
                ProxyHeader::Incomplete { length_min } => {
                    prop_assert!(length_min > bytes.len());
                    prop_assert!(length_min <= 16 + 4_096);
                }
                answer => {
                    bytes.extend(more);
                    prop_assert_eq!(proxy_header(&bytes), answer);
                }
            }
        }

        #[test]
        fn what_was_written_is_read(ip: [u8; 16], port: u16, other in any::<u16>()) {
            let source = std::net::SocketAddr::new(ip.into(), port);
            let text = format!("PROXY TCP6 {} ::1 {port} {other}\r\n", source.ip());
            let of_text = ProxyHeader::Whole { length: text.len(), source: Some(source) };
            prop_assert_eq!(proxy_header(text.as_bytes()), of_text);
            let payload = [&ip[..], &[0; 16], &port.to_be_bytes(), &other.to_be_bytes()].concat();
            let of_binary = ProxyHeader::Whole { length: 52, source: Some(source) };
            prop_assert_eq!(proxy_header(&v2(0x21, 0x21, &payload)), of_binary);
        }
    }
}

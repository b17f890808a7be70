//! Content codings (RFC 9110 §8.4.1): which media types gain by one, and which a client takes (§12.5.3).
//!
//! A field is judged without an allocation, and in time that its length bounds.

use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};

/// A coding in which content can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878), with a window of 8 MiB at most (RFC 9659).
    Zstd,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them, the smallest result first: of codings that a client likes equally, the first is sent.
    pub const ALL: [Self; 3] = [Self::Br, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`, `Accept-Encoding`, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name, in whatever case. `x-gzip` is the same as `gzip` (§8.4.1.3).
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.as_str().as_bytes()))
    }
}

/// What a client takes, and how much it likes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Thousandths, in the order of [`Coding::ALL`]; 0 for what it does not take.
    weights: [u16; 3],
    /// The same of content as it is. Unless the client says more of it, it is taken after everything else.
    identity: u16,
}

/// A weight below each that can be written.
const AFTER_ALL: u16 = 0;

impl Accepted {
    /// Content as it is, and nothing else: what is sent to those who do not say what they take.
    pub const NOTHING: Self = Self { weights: [0; 3], identity: AFTER_ALL };

    /// Reads `Accept-Encoding`. A member that cannot be read is left out; of two for the same coding the first counts; what comes after
    /// 32 members does not.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(ACCEPT_ENCODING) {
            return Self::NOTHING;
        }
        Self::of_lines(headers.get_all(ACCEPT_ENCODING).into_iter().map(HeaderValue::as_bytes))
    }

    fn of_lines<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Self {
        let (mut named, mut identity, mut rest) = ([None; 3], None, None);
        let members = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
        for (name, weight) in members.take(MEMBERS_MAX).filter_map(member) {
            let slot = match Coding::from_name(name) {
                Some(coding) => &mut named[coding as usize],
                None if name == b"*" => &mut rest,
                None if name.eq_ignore_ascii_case(b"identity") => &mut identity,
                None => continue,
            };
            slot.get_or_insert(weight);
        }
        Self { weights: named.map(|weight| weight.or(rest).unwrap_or(0)), identity: identity.or(rest).unwrap_or(AFTER_ALL) }
    }

    /// Whether the client takes this coding.
    #[must_use]
    pub fn allows(&self, coding: Coding) -> bool {
        self.weights[coding as usize] > 0
    }

    /// Whether there is a coding that the client takes.
    #[must_use]
    pub fn allows_any(&self) -> bool {
        self.weights != [0; 3]
    }

    /// The codings that the client takes and does not like less than content as it is, the best first. Content as it is follows them,
    /// also where the client would rather have nothing.
    pub fn best_first(&self) -> impl Iterator<Item = Coding> + use<> {
        let weights = self.weights;
        let mut order = Coding::ALL;
        // Stable: equals stay in the order of `ALL`.
        order.sort_by_key(|coding| std::cmp::Reverse(weights[*coding as usize]));
        let least = self.identity.max(1);
        order.into_iter().filter(move |coding| weights[*coding as usize] >= least)
    }
}

/// Members of a field that are looked at.
const MEMBERS_MAX: usize = 32;

/// A coding and its weight in thousandths; `None` if it is malformed.
fn member(text: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = text.splitn(2, |byte| *byte == b';');
    let name = parts.next()?.trim_ascii();
    let is_token = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    let weight = parts.next().map_or(Some(1_000), |weight| weight_of(weight.trim_ascii()));
    Some((name, weight?)).filter(|_| is_token)
}

/// `q=0.5` in thousandths (§12.4.2).
fn weight_of(text: &[u8]) -> Option<u16> {
    let value = text.strip_prefix(b"q=").or_else(|| text.strip_prefix(b"Q="))?;
    let (whole, decimals) = match value {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = decimals.get(place).copied().unwrap_or(b'0');
        thousandths = thousandths * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    match (whole, thousandths) {
        (b'0', thousandths) => Some(thousandths),
        (b'1', 0) => Some(1_000),
        _ => None,
    }
}

/// Whether content of this media type gets smaller by a coding. What is compressed by its own format is not named.
#[must_use]
pub fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim_ascii();
    let starts = |prefix: &str| essence.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let ends = |suffix: &str| {
        let start = essence.len().checked_sub(suffix.len());
        start.and_then(|start| essence.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    starts("text/")
        || ["+json", "+xml", "+text", "+yaml"].iter().any(|suffix| ends(suffix))
        || COMPRESSIBLE.iter().any(|one| essence.eq_ignore_ascii_case(one))
}

/// Beside `text/*` and what a suffix tells.
const COMPRESSIBLE: [&str; 35] = [
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/json-seq",
    "application/msword",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-opentype",
    "application/x-font-otf",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-javascript",
    "application/x-mpegurl",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "model/obj",
    "model/stl",
    "model/gltf-binary",
];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};
    use proptest::prelude::{any, prop, proptest};

    use super::{Accepted, Coding, is_compressible};

    fn order(lines: &[&str]) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).expect("a field"));
        }
        Accepted::of(&headers).best_first().map(Coding::as_str).collect()
    }

    #[test]
    fn table() {
        let cases: [(&[&str], &[&str]); 34] = [
            (&[], &[]),
            (&[""], &[]),
            (&["identity"], &[]),
            (&["gzip"], &["gzip"]),
            (&["GZip"], &["gzip"]),
            (&["x-gzip"], &["gzip"]),
            (&["gzip, deflate, br, zstd"], &["br", "zstd", "gzip"]),
            (&["gzip", "br"], &["br", "gzip"]),
            (&["deflate"], &[]),
            (&["*"], &["br", "zstd", "gzip"]),
            (&["*;q=0"], &[]),
            (&["*;q=0, gzip"], &["gzip"]),
            (&["gzip, *;q=0.5"], &["gzip", "br", "zstd"]),
            (&["br;q=0, *"], &["zstd", "gzip"]),
            (&["br;q=0.2, gzip;q=0.8, zstd;q=0.8"], &["zstd", "gzip", "br"]),
            (&["gzip;q=0.001"], &["gzip"]),
            (&["gzip;q=0"], &[]),
            (&["gzip;q=0.000"], &[]),
            (&["identity;q=0"], &[]),
            (&["identity;q=0, br"], &["br"]),
            // Content as it is comes first where the client says so.
            (&["identity, gzip;q=0.5"], &[]),
            (&["identity;q=0.5, gzip, br;q=0.4"], &["gzip"]),
            (&["identity;q=0.5, gzip;q=0.5"], &["gzip"]),
            (&["*;q=0.5, identity;q=1"], &[]),
            (&["gzip ; q=1.0 , br ;q=0.9"], &["gzip", "br"]),
            (&["gzip;Q=1.000"], &["gzip"]),
            (&["gzip;q=1."], &["gzip"]),
            // Malformed members are as good as none.
            (&["gzip;q=1.001, br"], &["br"]),
            (&["gzip;q=2, br;q=-1, zstd;q=0.0001"], &[]),
            (&["gzip;level=9, zstd;q"], &[]),
            (&["gz ip, br"], &["br"]),
            (&[",, ,gzip,"], &["gzip"]),
            // The first of two counts.
            (&["gzip;q=0, gzip"], &[]),
            (&["gzip, gzip;q=0"], &["gzip"]),
        ];
        for (lines, expected) in cases {
            assert_eq!(order(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_long_field_is_cut() {
        let many = format!("{}br", "a, ".repeat(31));
        assert_eq!(order(&[&many]), ["br"]);
        let too_many = format!("{}br", "a, ".repeat(32));
        assert!(order(&[&too_many]).is_empty());
    }

    #[test]
    fn types() {
        let yes = [
            "text/css",
            "TEXT/HTML; charset=utf-8",
            "application/json",
            "application/ld+json",
            "image/svg+xml",
            "application/javascript ;charset=utf-8",
            "application/wasm",
            "font/ttf",
        ];
        let no = [
            "",
            "text",
            "video/webm",
            "image/png",
            "font/woff2",
            "application/octet-stream",
            "application/zip",
            "+jso",
            "application/jsonx",
        ];
        assert!(yes.iter().all(|one| is_compressible(one)));
        for one in no {
            assert!(!is_compressible(one), "{one}");
        }
    }

    proptest! {
        /// Nothing is offered to a client that did not name it, or everything; and what comes first is liked at least as much.
        #[test]
        fn arbitrary_fields_are_judged(line in prop::collection::vec(any::<u8>(), 0..64)) {
            let accepted = Accepted::of_lines(std::iter::once(&line[..]));
            let order: Vec<_> = accepted.best_first().collect();
            let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
            for coding in &order {
                assert!(accepted.allows(*coding));
                assert!(text.contains(coding.as_str()) || text.contains('*'));
            }
        }

        #[test]
        fn the_order_is_that_of_the_weights(br in 0..=1_000_u16, zstd in 0..=1_000_u16, gzip in 0..=1_000_u16, identity in 0..=1_000_u16) {
            let q = |weight: u16| format!("{}.{:03}", weight / 1_000, weight % 1_000);
            let line = format!("gzip;q={}, identity;q={}, br;q={}, zstd;q={}", q(gzip), q(identity), q(br), q(zstd));
            let weights = [br, zstd, gzip];
            let accepted = Accepted::of_lines(std::iter::once(line.as_bytes()));
            let order: Vec<_> = accepted.best_first().collect();
            assert!(order.windows(2).all(|two| weights[two[0] as usize] >= weights[two[1] as usize]));
            for coding in Coding::ALL {
                let weight = weights[coding as usize];
                assert_eq!(order.contains(&coding), weight > 0 && weight >= identity, "{line}");
                assert_eq!(accepted.allows(coding), weight > 0);
            }
        }
    }
}

//! A request as it came, and what is wrong with it.

/// A request as it came to an origin.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its target, as in the first line.
    pub target: String,
    /// Its fields in order, the names in lower case.
    pub fields: Vec<(String, String)>,
    /// Its content, with the framing off.
    pub body: Vec<u8>,
    /// How often this target had been asked for before.
    pub turn: usize,
    /// Which connection it came over, and how many requests came over that before.
    pub connection: (usize, usize),
    /// What a server might read otherwise than another one. Empty for a request that is well-formed.
    pub flaws: Vec<String>,
}

impl Asked {
    /// Reads the head of a request, up to and with the empty line.
    pub(super) fn head(bytes: &[u8]) -> Self {
        let mut asked = Self::default();
        let text = String::from_utf8_lossy(bytes);
        if bytes.iter().any(|byte| matches!(byte, 0 | 0x0B | 0x0C | 0x7F)) {
            asked.flaws.push("a control character".to_owned());
        }
        let mut lines = text.strip_suffix("\r\n\r\n").unwrap_or(&text).split("\r\n");
        let first = lines.next().unwrap_or_default();
        match first.split(' ').collect::<Vec<_>>()[..] {
            [method, target, "HTTP/1.1"] if !method.is_empty() && target.starts_with('/') => {
                (asked.method, asked.target) = (method.to_owned(), target.to_owned());
            }
            _ => asked.flaws.push(format!("the first line {first:?}")),
        }
        for line in lines {
            if line.contains(['\r', '\n']) {
                asked.flaws.push(format!("a bare line end in {line:?}"));
            }
            match line.split_once(':') {
                Some((name, value)) if is_token(name) => asked.fields.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                _ => asked.flaws.push(format!("the line {line:?}")),
            }
        }
        if asked.all("host").count() != 1 {
            asked.flaws.push(format!("{} times Host", asked.all("host").count()));
        }
        asked
    }

    /// The values of a field.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a field; empty if it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// How its content is framed.
    pub(super) fn framing(&mut self) -> Framing {
        let codings: Vec<String> = self.all("transfer-encoding").map(str::to_owned).collect();
        let lengths: Vec<String> = self.all("content-length").map(str::to_owned).collect();
        if !codings.is_empty() && !lengths.is_empty() {
            self.flaws.push("a length and a coding".to_owned());
        }
        if codings.iter().any(|coding| coding != "chunked") || codings.len() > 1 || lengths.len() > 1 {
            self.flaws.push(format!("codings {codings:?}, lengths {lengths:?}"));
        }
        if !codings.is_empty() {
            return Framing::Chunked;
        }
        match lengths.first() {
            None => Framing::Length(0),
            Some(length) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Framing::Length(length.parse().unwrap_or_default())
            }
            Some(length) => {
                self.flaws.push(format!("the length {length:?}"));
                Framing::Length(0)
            }
        }
    }
}

/// How a content is framed.
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn flaws() {
        let good = Asked::head(b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b: c\r\n\r\n");
        assert_eq!((good.method.as_str(), good.target.as_str(), good.field("x-a")), ("GET", "/a?b", "b: c"));
        assert!(good.flaws.is_empty(), "{:?}", good.flaws);
        for bad in [
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        ] {
            assert!(!Asked::head(bad.as_bytes()).flaws.is_empty(), "{bad:?}");
        }
        let framed = |fields: &str| {
            let mut asked = Asked::head(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
            let _ = asked.framing();
            asked.flaws
        };
        assert!(framed("Content-Length: 5\r\n").is_empty());
        assert!(framed("Transfer-Encoding: chunked\r\n").is_empty());
        for bad in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: +5\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
        ] {
            assert!(!framed(bad).is_empty(), "{bad:?}");
        }
    }
}

//! What a successful request with another method than GET ends of what is stored (RFC 9111 §4.4).

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CONTENT_LOCATION, LOCATION},
};

/// The URIs of which nothing that is stored may be reused without validation, after `target` was asked to change: itself, and those of the
/// same origin that the answer names. Empty where nothing changed.
#[must_use]
pub fn invalidated(method: &Method, target: &Uri, status: StatusCode, response: &HeaderMap) -> Vec<Uri> {
    if method.is_safe() || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let named = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|field| resolve(target, response.get(field)?.to_str().ok()?));
    std::iter::once(target.clone()).chain(named).collect()
}

/// A reference against a base (RFC 3986 §5), if it is of the same origin: others could end what is not theirs (RFC 9111 §4.4).
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme()?, base.authority()?);
    let reference = reference.split('#').next().unwrap_or_default();
    if has_scheme(reference) {
        let whole: Uri = reference.parse().ok()?;
        let same = whole.scheme() == Some(scheme) && whole.authority()?.as_str().eq_ignore_ascii_case(authority.as_str());
        return same.then_some(whole);
    }
    if reference.starts_with("//") {
        return resolve(base, &format!("{scheme}:{reference}"));
    }
    let (path, query) = reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
    let path = match path {
        "" => base.path().to_owned(),
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => without_dots(&format!("{}{relative}", &base.path()[..=base.path().rfind('/')?])),
    };
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{scheme}://{authority}{path}{query}").parse().ok()
}

/// Whether it begins with a scheme and a colon (RFC 3986 §3.1).
fn has_scheme(reference: &str) -> bool {
    let end = reference.find(['/', '?']).unwrap_or(reference.len());
    let scheme = reference[..end].split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{invalidated, without_dots};
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::LOCATION};
    use proptest::prelude::proptest;

    fn of(method: &Method, status: u16, location: &str) -> Vec<String> {
        let target = Uri::from_static("https://a.test/b/c?d=1");
        let mut response = HeaderMap::new();
        if !location.is_empty() {
            response.insert(LOCATION, HeaderValue::from_str(location).expect("a value"));
        }
        let ended = invalidated(method, &target, StatusCode::from_u16(status).expect("a status"), &response);
        ended.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_ends() {
        const TARGET: &str = "https://a.test/b/c?d=1";
        assert!(of(&Method::GET, 200, "").is_empty());
        assert!(of(&Method::HEAD, 200, "/x").is_empty());
        assert!(of(&Method::POST, 500, "/x").is_empty());
        assert!(of(&Method::POST, 404, "/x").is_empty());
        assert_eq!(of(&Method::PUT, 204, ""), [TARGET]);
        assert_eq!(of(&Method::DELETE, 302, ""), [TARGET]);
        let cases = [
            ("/x?y", Some("https://a.test/x?y")),
            ("x", Some("https://a.test/b/x")),
            ("../x#f", Some("https://a.test/x")),
            ("?z", Some("https://a.test/b/c?z")),
            ("https://A.test/x", Some("https://A.test/x")),
            ("//a.test/x", Some("https://a.test/x")),
            ("https://other.test/x", None),
            ("//other.test/x", None),
            ("http://a.test/x", None),
            ("https://a.test:444/x", None),
            ("mailto:x", None),
        ];
        for (location, expected) in cases {
            let ended = of(&Method::POST, 201, location);
            assert_eq!(ended.get(1).map(String::as_str), expected, "{location}: {ended:?}");
            assert_eq!(ended[0], TARGET);
        }
    }

    #[test]
    fn dots() {
        for (path, expected) in
            [("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/../b", "/b"), ("/a/..", "/"), ("/a/.", "/a/"), ("/", "/"), ("/a//b", "/a//b")]
        {
            assert_eq!(without_dots(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leaves_the_origin(location in "[ -~]{0,40}") {
            for uri in of(&Method::POST, 201, location.trim()) {
                assert!(uri.to_ascii_lowercase().starts_with("https://a.test/"), "{location}: {uri}");
            }
        }
    }
}

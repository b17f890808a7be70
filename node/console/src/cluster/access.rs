//! Who may see the page of the cluster: what a browser shows, and what is let in.
//!
//! The session is in a cookie that scripts cannot read and that other sites do not send. What clients upload is served from the same
//! origin, so a cookie alone proves too little: a script there could fetch the page. So the page is given to no script and no frame, as
//! browsers say of a request what it is for; and its stream, and signing out, take the key that stands in the page.

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, HOST, ORIGIN},
};
use ncore_domain::{AdministratorError, Domain, SignedIn, percent};

/// The header that has the key of the page.
pub(crate) const PAGE_KEY: &str = "x-ncore-page";

/// The name of the cookie at this node, since browsers do not tell ports of a host apart: nodes on one host would take each other's.
pub(crate) fn cookie_name(node: u64, secure: bool) -> String {
    // The prefix makes browsers refuse one that was set from elsewhere, and needs TLS.
    format!("{}ncore_session_{node}", if secure { "__Host-" } else { "" })
}

/// A cookie with a session, for so many seconds; with none, it is taken away.
pub(crate) fn set_cookie(node: u64, secure: bool, session: Option<(&str, u64)>) -> HeaderValue {
    let (value, age) = session.unwrap_or(("", 0));
    let secure_only = if secure { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure_only}", cookie_name(node, secure));
    let mut cookie = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    cookie.set_sensitive(true);
    cookie
}

/// The secret of the session that a request shows.
pub(crate) fn session(headers: &HeaderMap, node: u64, secure: bool) -> Option<&str> {
    let name = cookie_name(node, secure);
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(found, _)| *found == name).map(|(_, value)| value);
    // Two of them are not from here.
    found.next().filter(|value| !value.is_empty() && found.next().is_none())
}

/// Who is signed in; `None` if nobody is.
///
/// # Errors
/// That it cannot be known now.
pub(crate) async fn who(domain: &Domain, session: Option<&str>) -> Result<Option<SignedIn>, AdministratorError> {
    let Some(session) = session else { return Ok(None) };
    match domain.sessions().of(domain.administrators(), session).await {
        Ok(signed_in) => Ok(Some(signed_in)),
        Err(AdministratorError::Refused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a request was made by somebody who goes to a page, and not by a script or for a frame. Browsers say so where the connection is
/// safe; what says nothing is no such browser.
pub(crate) fn is_visit(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_none_or(|dest| dest == "document")
}

/// Whether a form was sent from a page of this host, which was asked as `authority`, or of the node's public URL, since a proxy may ask
/// with a name of its own. Browsers say from where with each form.
pub(crate) fn is_own_form(headers: &HeaderMap, authority: Option<&str>, public_url: &str) -> bool {
    let asked = authority.or_else(|| headers.get(HOST)?.to_str().ok());
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or("null");
        let host = origin.split_once("://").map(|(_, host)| host);
        (host.is_some() && host == asked) || origin == public_url
    };
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin") && headers.get(ORIGIN).is_none_or(is_own)
}

/// Whether a key is that of the page.
pub(crate) fn fits(signed_in: &SignedIn, key: Option<&str>) -> bool {
    // Hashes are compared in constant time.
    key.is_some_and(|key| blake3::hash(key.as_bytes()) == blake3::hash(signed_in.page_key.as_bytes()))
}

/// The value of a field of a form (`application/x-www-form-urlencoded`); `None` if it is not there, or there twice.
pub(crate) fn field(body: &str, name: &str) -> Option<String> {
    let mut found = body.split('&').filter_map(|pair| pair.split_once('=')).filter(|(found, _)| *found == name);
    let (_, value) = found.next()?;
    if found.next().is_some() { None } else { percent::decoded(value) }
}

#[cfg(test)]
mod tests {
    use http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{COOKIE, HOST, ORIGIN},
    };

    use super::{cookie_name, field, is_own_form, is_visit, session, set_cookie};

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_cookie_is_for_this_node_alone_and_for_no_script() {
        let cookie = set_cookie(7, true, Some(("ncw_x", 60)));
        let cookie = cookie.to_str().expect("text");
        assert_eq!(cookie, "__Host-ncore_session_7=ncw_x; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure");
        let gone = set_cookie(7, false, None);
        assert_eq!(gone.to_str().ok(), Some("ncore_session_7=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"));
        assert!(gone.is_sensitive());
        let shown = headers(&[(COOKIE, "a=b; ncore_session_7=ncw_x; ncore_session_71=ncw_y")]);
        assert_eq!(session(&shown, 7, false), Some("ncw_x"));
        assert_eq!((session(&shown, 7, true), session(&shown, 8, false)), (None, None));
        assert_eq!(session(&headers(&[(COOKIE, "ncore_session_7=a; ncore_session_7=b")]), 7, false), None);
        assert_ne!(cookie_name(1, true), cookie_name(1, false));
    }

    #[test]
    fn forms_of_other_sites_and_scripts_are_told() {
        let site = HeaderName::from_static("sec-fetch-site");
        let dest = HeaderName::from_static("sec-fetch-dest");
        let host = (HOST, "node:8080");
        for (more, own) in [
            (vec![], true),
            (vec![(ORIGIN, "http://node:8080")], true),
            (vec![(ORIGIN, "http://node:8080"), (site.clone(), "same-origin")], true),
            (vec![(ORIGIN, "https://cdn.example")], true),
            (vec![(ORIGIN, "http://cdn.example")], false),
            (vec![(ORIGIN, "http://node:8081")], false),
            (vec![(ORIGIN, "null")], false),
            (vec![(ORIGIN, "http://evil.example")], false),
            (vec![(site.clone(), "same-site")], false),
            (vec![(site, "cross-site")], false),
        ] {
            let shown = headers(&[vec![host.clone()], more.clone()].concat());
            assert_eq!(is_own_form(&shown, None, "https://cdn.example"), own, "{more:?}");
        }
        assert!(is_visit(&HeaderMap::new()) && is_visit(&headers(&[(dest.clone(), "document")])));
        assert!(!is_visit(&headers(&[(dest.clone(), "empty")])) && !is_visit(&headers(&[(dest, "iframe")])));
    }

    #[test]
    fn fields_of_a_form() {
        assert_eq!(field("token=nca_a%2Bb+c&key=1", "token").as_deref(), Some("nca_a+b c"));
        for bad in ["", "key=1", "token", "token=%zz", "token=1&token=2"] {
            assert_eq!(field(bad, "token"), None, "{bad}");
        }
    }
}

//! A page of the list of clients: how many, and after which.
//!
//! The cursor is base64url of `clients:` and the id of the last one. An administrator sees every client, so nothing in it is a secret.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Uri;
use ncore_model::ClientId;

use crate::{
    problem::{Kind, Problem},
    v2::message::form,
};

/// What a page is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    pub(super) limit: usize,
    pub(super) after: Option<ClientId>,
}

impl PageQuery {
    pub(super) fn parse(uri: &Uri) -> Result<Self, Problem> {
        let invalid = |error: form::FormError| Problem::new(Kind::InvalidQuery, format!("the query is not valid: {error}"));
        let query = form::parse(uri.query().unwrap_or_default()).map_err(invalid)?;
        let limit = query.limit(LIMIT_DEFAULT, LIMIT_MAX).map_err(invalid)?;
        let after = query
            .one("cursor")
            .map_err(invalid)?
            .map(|cursor| after(cursor).ok_or_else(|| Problem::new(Kind::InvalidCursor, "the cursor is damaged, or of another list")));
        Ok(Self { limit, after: after.transpose()? })
    }
}

/// The cursor of the page after a client.
pub(super) fn cursor(last: &ClientId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{OF_CLIENTS}{last}"))
}

/// Where the next page is (RFC 8288).
pub(super) fn link(limit: usize, cursor: &str) -> String {
    format!("</api/v2/admin/clients?limit={limit}&cursor={cursor}>; rel=\"next\"")
}

fn after(cursor: &str) -> Option<ClientId> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix(OF_CLIENTS).map(ClientId::from_text)
}

const OF_CLIENTS: &str = "clients:";
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use ncore_model::ClientId;

    use super::{LIMIT_DEFAULT, LIMIT_MAX, PageQuery, cursor};

    #[test]
    fn queries() {
        let id = ClientId::from_text("cl_1");
        let uri = |query: &str| format!("/api/v2/admin/clients?{query}").parse::<http::Uri>().expect("a URI");
        let parsed = |query: &str| PageQuery::parse(&uri(query)).map_err(|problem| problem.kind().row().code);
        assert_eq!(parsed(""), Ok(PageQuery { limit: LIMIT_DEFAULT, after: None }));
        assert_eq!(parsed("limit=99999999"), Ok(PageQuery { limit: LIMIT_MAX, after: None }));
        assert_eq!(parsed(&format!("limit=2&cursor={}", cursor(&id))), Ok(PageQuery { limit: 2, after: Some(id) }));
        for bad in ["limit=0", "limit=x", "limit=1&limit=2"] {
            assert_eq!(parsed(bad), Err("invalid_query"), "{bad}");
        }
        for bad in ["cursor=!", "cursor=Y2xfMQ"] {
            assert_eq!(parsed(bad), Err("invalid_cursor"), "{bad}");
        }
    }
}

//! Pages of lists, by number.

use http::Uri;
use serde_json::{Value, json};

use super::refusal::{Invalid, Refusal};
use crate::{
    problem::{Kind, Problem},
    v2::form::{self, Form},
};

/// Rows of a page, unless it is said how many.
const PER_PAGE: u64 = 15;
/// The most rows of a page.
const PER_PAGE_MAX: u64 = 100;
/// Far behind the end of every list.
const PAGE_MAX: u64 = 1_000_000;

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    number: u64,
    per_page: u64,
}

/// The query of a request.
pub(super) fn query(uri: &Uri) -> Result<Form, Refusal> {
    let parsed = form::parse(uri.query().unwrap_or_default());
    parsed.map_err(|error| Problem::new(Kind::InvalidQuery, format!("the query is not valid: {error}")).into())
}

impl Page {
    /// The page that a query asks for.
    ///
    /// # Errors
    /// 422.
    pub(super) fn of(query: &Form) -> Result<Self, Refusal> {
        let mut invalid = Invalid::default();
        let mut number = |name: &'static str, otherwise: u64, most: u64| match query.number(name) {
            Ok(found) if (1..=most).contains(&found.unwrap_or(otherwise)) => found.unwrap_or(otherwise),
            _ => {
                invalid.add(name, format!("The {} must be a whole number from 1 to {most}.", name.replace('_', " ")));
                otherwise
            }
        };
        let page = Self { number: number("page", 1, PAGE_MAX), per_page: number("per_page", PER_PAGE, PER_PAGE_MAX) };
        invalid.none()?;
        Ok(page)
    }

    /// How many rows come before it.
    pub(super) fn skip(self) -> usize {
        usize::try_from((self.number - 1) * self.per_page).unwrap_or(usize::MAX)
    }

    /// How many rows it has at most.
    pub(super) fn limit(self) -> usize {
        usize::try_from(self.per_page).unwrap_or(usize::MAX)
    }

    /// The document of these rows of `total`. `filter` is the rest of the query, which its links keep.
    pub(super) fn document(self, url: &str, filter: &str, total: usize, rows: &[Value]) -> Value {
        let Self { number, per_page } = self;
        let last = (total as u64).div_ceil(per_page).max(1);
        let link = |page: u64| format!("{url}?{filter}page={page}&per_page={per_page}");
        let from = (!rows.is_empty()).then(|| self.skip() + 1);
        json!({
            "links": {
                "first": link(1),
                "last": link(last),
                "prev": (number > 1).then(|| link(number - 1)),
                "next": (number < last).then(|| link(number + 1)),
            },
            "meta": {
                "current_page": number,
                "from": from,
                "last_page": last,
                "path": url,
                "per_page": per_page,
                "to": from.map(|from| from + rows.len() - 1),
                "total": total,
            },
            "data": rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, query};

    #[test]
    fn pages() {
        let page = |text: &str| {
            let query = query(&format!("/x?{text}").parse().expect("a URI")).ok()?;
            Page::of(&query).ok().map(|page| (page.number, page.per_page))
        };
        assert_eq!(page(""), Some((1, 15)));
        assert_eq!(page("page=3&per_page=100"), Some((3, 100)));
        for bad in ["page=0", "page=x", "per_page=101", "per_page=0", "page=1&page=2", "page=99999999999999999999"] {
            assert_eq!(page(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_and_numbers() {
        let page = Page { number: 2, per_page: 2 };
        let document = page.document("/zones", "type=cdn&", 5, &[1.into(), 2.into()]);
        assert_eq!((document["meta"]["from"].as_u64(), document["meta"]["to"].as_u64()), (Some(3), Some(4)));
        assert_eq!(document["links"]["next"], "/zones?type=cdn&page=3&per_page=2");
        let empty = Page { number: 1, per_page: 2 }.document("/zones", "", 0, &[]);
        assert_eq!((empty["meta"]["last_page"].as_u64(), empty["meta"]["from"].is_null()), (Some(1), true));
        assert!(empty["links"]["next"].is_null() && empty["links"]["prev"].is_null());
    }
}

//! `application/x-www-form-urlencoded`: query strings, form bodies, and the credentials of HTTP Basic.

use ncore_domain::percent;

/// Names and values, in order.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

/// What is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    /// An escape that is none, or bytes that are not UTF-8.
    #[error("it is not correctly encoded")]
    Encoding,
    /// A name that may come once comes again.
    #[error("{0} comes more than once")]
    Repeated(&'static str),
    /// Something else where a number is expected.
    #[error("{0} is a whole number")]
    Number(&'static str),
    /// A page of nothing.
    #[error("limit is a whole number of at least 1")]
    Limit,
}

fn decoded(text: &str) -> Result<String, FormError> {
    percent::decoded(text).ok_or(FormError::Encoding)
}

/// Parses a form.
pub(crate) fn parse(text: &str) -> Result<Form, FormError> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    });
    Ok(Form { pairs: pairs.collect::<Result<_, _>>()? })
}

impl Form {
    /// Whether there is one with this name.
    pub(in crate::v2) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(found, _)| found == name)
    }

    /// The value of what may come once. What is sent without a value counts as not sent (RFC 6749, section 3.2).
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, FormError> {
        let mut found = self.pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() {
            return Err(FormError::Repeated(name));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// The values of what may come more than once, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A whole number that may come once. One that is too large to be counted with is the largest.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, FormError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FormError::Number(name));
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    /// How many rows a page is to have at most: `limit`, or else `otherwise`; never more than `most`.
    pub(in crate::v2) fn limit(&self, otherwise: usize, most: usize) -> Result<usize, FormError> {
        match self.number("limit") {
            Ok(None) => Ok(otherwise),
            Ok(Some(0)) | Err(FormError::Number(_)) => Err(FormError::Limit),
            Ok(Some(limit)) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FormError, parse};

    #[test]
    fn forms() {
        let form = parse("a=1&b=x+y%20z&&c&d=%C3%BC&a2=").expect("a form");
        assert_eq!(form.one("a"), Ok(Some("1")));
        assert_eq!(form.one("b"), Ok(Some("x y z")));
        assert_eq!(form.one("c"), Ok(None));
        assert!(form.has("c"));
        assert_eq!(form.one("d"), Ok(Some("ü")));
        assert_eq!(form.one("none"), Ok(None));
        assert_eq!(parse("a=1&a=1").expect("a form").one("a"), Err(FormError::Repeated("a")));
        let numbers = parse("a=7&b=99999999999999999999999&c=%2B1&d=-1&e=&limit=0").expect("a form");
        assert_eq!((numbers.number("a"), numbers.number("b"), numbers.number("e")), (Ok(Some(7)), Ok(Some(u64::MAX)), Ok(None)));
        assert_eq!((numbers.number("c"), numbers.number("d")), (Err(FormError::Number("c")), Err(FormError::Number("d"))));
        assert_eq!(numbers.limit(100, 1_000), Err(FormError::Limit));
        for (text, limit) in [("", 100), ("limit=5", 5), ("limit=99999999999999999999999", 1_000)] {
            assert_eq!(parse(text).expect("a form").limit(100, 1_000), Ok(limit), "{text}");
        }
        for bad in ["a=%", "a=%1", "a=%zz", "a=%ff"] {
            assert_eq!(parse(bad).err(), Some(FormError::Encoding), "{bad}");
        }
    }
}

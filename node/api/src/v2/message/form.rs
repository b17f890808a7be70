//! `application/x-www-form-urlencoded`: query strings, form bodies, and the credentials of HTTP Basic.

use ncore_domain::percent;

/// Names and values, in order.
#[derive(Debug, Default)]
pub(in crate::v2) struct Form {
    pairs: Vec<(String, String)>,
}

/// What is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::v2) enum FormError {
    /// An escape that is none, or bytes that are not UTF-8.
    #[error("it is not correctly encoded")]
    Encoding,
    /// A name that may come once comes again.
    #[error("{0} comes more than once")]
    Repeated(&'static str),
}

fn decoded(text: &str) -> Result<String, FormError> {
    percent::decoded(text).ok_or(FormError::Encoding)
}

/// Parses a form.
pub(in crate::v2) fn parse(text: &str) -> Result<Form, FormError> {
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
    pub(in crate::v2) fn one(&self, name: &'static str) -> Result<Option<&str>, FormError> {
        let mut found = self.pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() {
            return Err(FormError::Repeated(name));
        }
        Ok(first.filter(|value| !value.is_empty()))
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
        for bad in ["a=%", "a=%1", "a=%zz", "a=%ff"] {
            assert_eq!(parse(bad).err(), Some(FormError::Encoding), "{bad}");
        }
    }
}

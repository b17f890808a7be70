//! Globs over the paths of a client's assets.
//!
//! `?` is one character and `*` any number of them within a segment; a `*` at the end, and `**` as a segment of its own, also
//! cross slashes. `[a-z]` and `{a,b}` work as in a shell. A leading slash is dropped, as it is from paths.

use globset::{GlobBuilder, GlobMatcher};

use crate::path::MAX_PATH_BYTES;

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct AssetGlob {
    matcher: GlobMatcher,
    literal_prefix: String,
}

/// The pattern is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// There is none.
    #[error("the pattern is empty")]
    Empty,
    /// It is longer than a path can be.
    #[error("the pattern has more than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// It does not parse.
    #[error("the pattern is not a glob: {reason}")]
    Syntax {
        /// What the parser says.
        reason: String,
    },
}

impl AssetGlob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        if pattern.len() > MAX_PATH_BYTES {
            return Err(GlobError::TooLong);
        }
        let literal_prefix = pattern.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default().to_owned();
        let glob = GlobBuilder::new(&crossing(pattern))
            .literal_separator(true)
            .build()
            .map_err(|error| GlobError::Syntax { reason: error.kind().to_string() })?;
        Ok(Self { matcher: glob.compile_matcher(), literal_prefix })
    }

    /// Whether `path` matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }

    /// What every matching path starts with.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        &self.literal_prefix
    }
}

/// A single `*` at the end crosses slashes: to the matcher it is "anything here, or anything in a folder here".
fn crossing(pattern: &str) -> String {
    match pattern.strip_suffix('*') {
        Some(head) if !head.ends_with(['*', '\\']) => format!("{head}{{*,*/**}}"),
        _ => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{AssetGlob, GlobError};

    #[test]
    fn globs() {
        let cases = [
            ("images/hero/*", "images/hero/a.jpg", true),
            ("images/hero/*", "images/hero/2x/a.jpg", true),
            ("images/hero/*", "images/heroes/a.jpg", false),
            ("images/*.jpg", "images/a.jpg", true),
            ("images/*.jpg", "images/2x/a.jpg", false),
            ("images/**/a.jpg", "images/1/2/a.jpg", true),
            ("images/**/a.jpg", "images/a.jpg", true),
            ("/images/?.jpg", "images/a.jpg", true),
            ("*", "any/path/at/all", true),
            ("**", "any/path", true),
            ("a/{b,c}.txt", "a/c.txt", true),
            ("a/[bc].txt", "a/d.txt", false),
            ("exact.txt", "exact.txt", true),
            ("exact.txt", "exact.txt.bak", false),
        ];
        for (pattern, path, expected) in cases {
            let glob = AssetGlob::parse(pattern).expect("parses");
            assert_eq!(glob.matches(path), expected, "{pattern} on {path}");
            if expected {
                assert!(path.starts_with(glob.literal_prefix()), "{pattern} on {path}");
            }
        }
    }

    #[test]
    fn bad_globs() {
        assert_eq!(AssetGlob::parse("/").err(), Some(GlobError::Empty));
        assert!(matches!(AssetGlob::parse("a[").err(), Some(GlobError::Syntax { .. })));
    }
}

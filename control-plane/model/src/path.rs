//! The path of an asset.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 1_024;

/// A relative path of at least one segment: no empty segment, no `.` or `..`, no control character, case kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AssetPath(String);

impl AssetPath {
    /// Checks `text` and drops one leading slash.
    ///
    /// # Errors
    /// [`PathError`], naming the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let path = text.strip_prefix('/').unwrap_or(text);
        Self::check(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Whether `path` is one as it stands.
    ///
    /// # Errors
    /// [`PathError`], naming the rule that it breaks.
    pub fn check(path: &str) -> Result<(), PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if path.chars().any(char::is_control) {
            return Err(PathError::Control);
        }
        if path.contains('\\') {
            return Err(PathError::Backslash);
        }
        for segment in path.split('/') {
            match segment {
                "" => return Err(PathError::EmptySegment),
                "." | ".." => return Err(PathError::DotSegment),
                _ => {}
            }
        }
        Ok(())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for AssetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rule that a path breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is none.
    #[error("the path is empty")]
    Empty,
    /// It has more than 1,024 bytes.
    #[error("the path has more than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// NUL or another control character.
    #[error("the path has a control character")]
    Control,
    /// A backslash, which some clients take for a slash.
    #[error("the path has a backslash; use /")]
    Backslash,
    /// Two slashes in a row, or one at the end.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("the path has a segment . or ..")]
    DotSegment,
}

#[cfg(test)]
mod tests {
    use super::{AssetPath, PathError};

    #[test]
    fn paths() {
        let cases = [
            ("a", Ok("a")),
            ("/a/b.webm", Ok("a/b.webm")),
            ("Case/Kept.JPG", Ok("Case/Kept.JPG")),
            ("ünï/漢字.txt", Ok("ünï/漢字.txt")),
            ("a/...", Ok("a/...")),
            ("", Err(PathError::Empty)),
            ("/", Err(PathError::Empty)),
            ("//a", Err(PathError::EmptySegment)),
            ("a/", Err(PathError::EmptySegment)),
            ("a//b", Err(PathError::EmptySegment)),
            ("../a", Err(PathError::DotSegment)),
            ("a/./b", Err(PathError::DotSegment)),
            ("a\0b", Err(PathError::Control)),
            ("a\r\nb", Err(PathError::Control)),
            ("a\\b", Err(PathError::Backslash)),
        ];
        for (text, expected) in cases {
            assert_eq!(AssetPath::parse(text).as_ref().map(AssetPath::as_str), expected.as_ref().copied(), "{text:?}");
        }
        assert_eq!(AssetPath::parse(&"x".repeat(1_025)), Err(PathError::TooLong));
    }
}

//! How what clients send is written, for the reference: patterns of ECMA 262 for what the parsers take.
//!
//! A pattern counts characters where a parser counts bytes, and says nothing of what depends on the state of the cluster or on another
//! field: of such the reference says it in words.

/// A segment of a path that is neither `.` nor `..`, without a backslash and without control characters.
macro_rules! segment {
    () => {
        r"(?:[^./\\\u0000-\u001f\u007f-\u009f]|\.[^./\\\u0000-\u001f\u007f-\u009f]|\.\.[^/\\\u0000-\u001f\u007f-\u009f])[^/\\\u0000-\u001f\u007f-\u009f]*"
    };
}
/// The characters of a token (RFC 9110, section 5.6.2).
macro_rules! token {
    () => {
        "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    };
}
/// An entity tag.
macro_rules! tag {
    () => {
        r#"(?:W/)?"[!#-~]*""#
    };
}
/// A scope.
macro_rules! scope {
    () => {
        "(?:assets:read|assets:write|cache:purge|metrics:read|zones:read|zones:write)"
    };
}

/// The path of an asset.
pub(super) const PATH: &str = concat!("^/?", segment!(), "(?:/", segment!(), ")*$");
/// Nothing, or a path with a slash at its end.
pub(super) const FOLDER: &str = concat!("^/?(?:", segment!(), "/)*$");
/// A pattern of paths is not empty behind the slash that it may begin with.
pub(super) const GLOB: &str = "^(?:/?[^/]|//)";
/// A media type.
pub(super) const MEDIA_TYPE: &str = concat!("^", token!(), "/", token!(), "(?: *;[ -~]*)?$");
/// `*`, or a list of entity tags.
pub(super) const TAGS: &str = concat!(r"^(?:\*|", tag!(), "(?: *, *", tag!(), ")*)$");
/// Nothing, or scopes in a list with spaces.
pub(super) const SCOPES: &str = concat!("^(?:", scope!(), "(?: ", scope!(), ")*)?$");
/// A key that a caller chose, as it is, or as a string of RFC 9651.
pub(super) const KEY: &str = r#"^(?:[!#-~](?:[ -~]{0,253}[!#-~])?|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$"#;
/// A host name, perhaps with `*.` before it.
pub(super) const HOST: &str = r"^(?:\*\.)?[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*$";
/// Text that is not only spaces.
pub(super) const NOT_BLANK: &str = r"\S";
/// The digest of a body by SHA-1 or SHA-256, in base64.
pub(super) const CHECKSUM: &str = "^(?:sha1 [A-Za-z0-9+/]{26}[AEIMQUYcgkosw048]=|sha256 [A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)$";
/// A number of bytes.
pub(super) const NUMBER: &str = "^[0-9]{1,19}$";
/// A revision.
pub(super) const REVISION: &str = r"^[0-9]{1,9}\.[0-9]{1,18}$";
/// The longest path, in bytes.
pub(super) const PATH_MAX: usize = ncore_model::MAX_PATH_BYTES;
/// The longest media type, in bytes.
pub(super) const MEDIA_TYPE_MAX: usize = 256;

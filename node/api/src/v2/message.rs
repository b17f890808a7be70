//! Parts of HTTP messages, as version 2 reads and writes them, and version 1 where it does the same.

pub(crate) mod ack;
pub(super) mod etag;
pub(crate) mod form;
pub(crate) mod headers;
pub(super) mod incoming;
pub(crate) mod json;
pub(super) mod multipart;

//! Parts of HTTP messages, as version 2 reads and writes them.

pub(super) mod ack;
pub(super) mod etag;
pub(super) mod form;
pub(super) mod headers;
pub(super) mod incoming;
pub(super) mod json;
pub(super) mod multipart;

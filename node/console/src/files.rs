//! Styles and scripts, part of the binary. Their names have a hash of their content, so that they may be kept for ever.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

/// Where they are.
const PREFIX: &str = "/console/";

/// A file.
pub(crate) struct File {
    /// Its path, for links.
    pub(crate) path: String,
    media_type: &'static str,
    content: &'static str,
}

/// All of them.
pub(crate) struct Files {
    pub(crate) style: File,
    pub(crate) live: File,
    pub(crate) reference: File,
    pub(crate) icon: File,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            style: File::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
            live: File::new("live", "js", "text/javascript; charset=utf-8", include_str!("../assets/live.js")),
            reference: File::new("reference", "js", "text/javascript; charset=utf-8", include_str!("../assets/reference.js")),
            icon: File::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")),
        }
    }

    /// The answer to a request for one of them; `None` if there is none at the path.
    pub(crate) fn answer(&self, path: &str) -> Option<Response<Bytes>> {
        path.strip_prefix(PREFIX)?;
        let file = [&self.style, &self.live, &self.reference, &self.icon].into_iter().find(|file| file.path == path)?;
        let mut response = Response::new(Bytes::from_static(file.content.as_bytes()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        Some(response)
    }
}

impl File {
    fn new(name: &str, extension: &str, media_type: &'static str, content: &'static str) -> Self {
        let hash = blake3::hash(content.as_bytes()).to_hex();
        Self { path: format!("{PREFIX}{name}-{}.{extension}", &hash[..16]), media_type, content }
    }
}

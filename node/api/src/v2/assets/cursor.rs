//! Where the next page of a list begins.
//!
//! base64url of `[version 1] [check: 16] [path]`. The check covers the client and the filters, so that a cursor is good for the
//! list that it came from and for no other. It is a check and no secret: who forges one sees nothing but its own list.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ncore_model::ClientId;

use crate::v2::cursor::{self, CHECK_BYTES};

/// The list that cursors are for.
#[derive(Debug, Clone, Copy)]
pub(in crate::v2) struct List<'a> {
    pub(in crate::v2) client: &'a ClientId,
    pub(in crate::v2) prefix: &'a str,
    pub(in crate::v2) mime: Option<&'a str>,
    /// Whether it has folders.
    pub(in crate::v2) folders: bool,
}

impl List<'_> {
    /// The cursor of the page after `path`.
    pub(in crate::v2) fn cursor(&self, path: &str) -> String {
        URL_SAFE_NO_PAD.encode([&[VERSION], self.check(path).as_slice(), path.as_bytes()].concat())
    }

    /// The path after which the page begins, if the cursor is one of this list.
    pub(in crate::v2) fn path(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (check, path) = rest.split_first_chunk::<CHECK_BYTES>()?;
        let path = str::from_utf8(path).ok()?;
        (*check == self.check(path)).then(|| path.to_owned())
    }

    fn check(&self, path: &str) -> [u8; CHECK_BYTES] {
        let has_mime: &str = if self.mime.is_some() { "m" } else { "" };
        let fields = [self.client.as_str(), self.prefix, has_mime, self.mime.unwrap_or_default(), path].map(str::as_bytes);
        // As it was before there were folders, for lists that have none.
        let folders: &[u8] = if self.folders { b"folders" } else { b"" };
        cursor::check("ncore-api v2 cursor of a list of assets, version 1", &fields, folders)
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use ncore_model::ClientId;

    use super::List;

    #[test]
    fn a_cursor_is_of_one_list() {
        let (one, other) = (ClientId::from_text("cl_1"), ClientId::from_text("cl_2"));
        let list = List { client: &one, prefix: "img/", mime: None, folders: false };
        let cursor = list.cursor("img/ü.png");
        assert_eq!(list.path(&cursor).as_deref(), Some("img/ü.png"));
        let others = [
            List { client: &other, ..list },
            List { prefix: "img", ..list },
            List { mime: Some("image/png"), ..list },
            List { mime: Some(""), ..list },
            List { folders: true, ..list },
        ];
        for other in others {
            assert_eq!(other.path(&cursor), None, "{other:?}");
        }
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let client = ClientId::from_text("cl_1");
        let list = List { client: &client, prefix: "", mime: None, folders: false };
        let bytes = URL_SAFE_NO_PAD.decode(list.cursor("a/b")).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(list.path(&URL_SAFE_NO_PAD.encode(&changed)), None, "byte {at}");
            assert_eq!(list.path(&URL_SAFE_NO_PAD.encode(&bytes[..at])), None, "cut to {at}");
        }
        assert_eq!(list.path("not base64!"), None);
    }
}

//! Where the next page of the log begins.
//!
//! base64url of `[version 1] [check: 16] [time: 8] [node: 8] [number: 8]`. The check covers the viewer and the filters, as with lists of
//! assets: a cursor is good for the list that it came from. It is a check and no secret: what a viewer sees does not depend on it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ncore_domain::Viewer;
use ncore_telemetry::{AccessPosition, AccessQuery};

use crate::v2::cursor::{self, CHECK_BYTES};

/// The list that cursors are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) viewer: &'a Viewer,
    /// The filters.
    pub(super) query: &'a AccessQuery,
}

impl List<'_> {
    /// The cursor of the page after the record that stands there.
    pub(super) fn cursor(&self, position: AccessPosition) -> String {
        let AccessPosition { ended_us, node, number } = position;
        let place = [ended_us, node, number].map(u64::to_be_bytes).concat();
        URL_SAFE_NO_PAD.encode([&[VERSION], self.check(&place).as_slice(), &place].concat())
    }

    /// After which record the page begins, if the cursor is one of this list.
    pub(super) fn position(&self, cursor: &str) -> Option<AccessPosition> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (check, place) = bytes.strip_prefix(&[VERSION])?.split_first_chunk::<CHECK_BYTES>()?;
        let (numbers, rest) = place.as_chunks::<8>();
        let [ended_us, node, number] = <[[u8; 8]; 3]>::try_from(numbers).ok()?.map(u64::from_be_bytes);
        (rest.is_empty() && *check == self.check(place)).then_some(AccessPosition { ended_us, node, number })
    }

    fn check(&self, place: &[u8]) -> [u8; CHECK_BYTES] {
        let viewer = match self.viewer {
            Viewer::Client(client) => format!("c{}", client.as_str()),
            Viewer::Operator => "o".to_owned(),
        };
        let AccessQuery { client: _, from_us, until_us, statuses, prefix, before: _ } = self.query;
        let filters = format!("{from_us:?} {until_us:?} {statuses:?} {prefix:?}");
        let fields = [viewer.as_bytes(), filters.as_bytes(), place];
        cursor::check("ncore-api v2 cursor of the access log, version 1", &fields, b"")
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use ncore_domain::Viewer;
    use ncore_model::ClientId;
    use ncore_telemetry::{AccessPosition, AccessQuery};

    use super::List;

    #[test]
    fn a_cursor_is_of_one_list_and_whole() {
        let viewer = Viewer::Client(ClientId::from_text("cl_1"));
        let query = AccessQuery { statuses: Some((404, 404)), ..AccessQuery::default() };
        let list = List { viewer: &viewer, query: &query };
        let position = AccessPosition { ended_us: 5, node: 6, number: 7 };
        let cursor = list.cursor(position);
        assert_eq!(list.position(&cursor), Some(position));
        for other in [Viewer::Operator, Viewer::Client(ClientId::from_text("cl_2"))] {
            assert_eq!(List { viewer: &other, ..list }.position(&cursor), None, "{other:?}");
        }
        assert_eq!(List { query: &AccessQuery::default(), ..list }.position(&cursor), None);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(list.position(&URL_SAFE_NO_PAD.encode(&changed)), None, "byte {at}");
            assert_eq!(list.position(&URL_SAFE_NO_PAD.encode(&bytes[..at])), None, "cut to {at}");
        }
    }
}

//! A body that is content, as it comes.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::problem::{Kind, Problem};

/// How long a client may send nothing.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The bytes of a body.
pub(in crate::v2) struct Incoming {
    body: Body,
}

impl Incoming {
    pub(in crate::v2) fn new(body: Body) -> Self {
        Self { body }
    }

    /// The next bytes; `None` after the last.
    pub(in crate::v2) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            match timeout(PAUSE_MAX, self.body.frame()).await {
                Ok(None) => return Ok(None),
                // What is not data are trailers, and these say nothing here.
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(Some(Err(_))) => return Err(Problem::new(Kind::IncompleteBody, "the body broke off")),
                Err(_) => return Err(Problem::new(Kind::IncompleteBody, format!("nothing came for {} s", PAUSE_MAX.as_secs()))),
            }
        }
    }
}

//! The record of a request in the access log, while the request is answered: begun with its head, ended with its body.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, header::USER_AGENT};
use ncore_telemetry::{AccessHead, AccessLog, AccessRecord, CacheUse, PathClass, ZoneAccess};

use crate::{
    place::{self, Place},
    request_id::RequestId,
    router::{ApiRequest, PeerInfo},
    serve::X_CACHE,
};

/// A record that is not in the log yet. It goes there when it is dropped, which is when the last of the answer is out, or nobody waits for
/// it any more.
#[derive(Debug)]
pub(crate) struct Pending {
    record: AccessRecord,
    log: Arc<AccessLog>,
    started: Instant,
    /// Whether there was an answer. What was never answered is not recorded.
    answered: bool,
}

impl Pending {
    /// The record of a request whose head has come. What stands behind the `?` of its address is left out here, and so is nowhere.
    pub(crate) fn begin(log: &Arc<AccessLog>, request: &ApiRequest, peer: PeerInfo, request_id: &RequestId, started: Instant) -> Self {
        let path = request.uri().path();
        let head = AccessHead {
            method: request.method().as_str(),
            host: place::host(request).unwrap_or_default(),
            path,
            request_id: request_id.as_str(),
            agent: request.headers().get(USER_AGENT).map_or(&[], |agent| agent.as_bytes()),
            remote: peer.remote.ip(),
            class: class_of(path),
        };
        Self { record: AccessRecord::new(&head), log: Arc::clone(log), started, answered: false }
    }

    /// It was for an asset with this path, of this client as far as that is known; `restricted` if not everybody may have it.
    pub(crate) fn asset(&mut self, client: Option<Arc<str>>, restricted: bool) {
        self.record.client = client;
        if restricted {
            self.record.class = PathClass::Restricted;
        } else if matches!(self.record.class, PathClass::Api | PathClass::Node) {
            // On the host of a client every path can be that of an asset.
            self.record.class = PathClass::Asset;
        }
    }

    /// It was for an API, and is this client's.
    pub(crate) fn client(&mut self, client: Arc<str>) {
        self.record.client = Some(client);
    }

    /// It was for a zone, and was answered so.
    pub(crate) fn zone(&mut self, access: ZoneAccess) {
        self.record.zone = Some(Box::new(access));
    }

    /// The head of the answer is known, so long after that of the request.
    pub(crate) fn answered(&mut self, status: u16, headers: &HeaderMap, took: Duration) {
        self.answered = true;
        self.record.status = status;
        if let Some(zone) = &mut self.record.zone {
            zone.head_us = micros(took);
        }
        self.record.cache = CacheUse::of_header(headers.get(&X_CACHE).map(|value| value.as_bytes()));
    }

    /// Bytes of the body were handed on.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.record.bytes += bytes;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered {
            return;
        }
        self.record.took_us = micros(self.started.elapsed());
        self.record.ended_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros);
        self.log.record(self.record.take());
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn class_of(path: &str) -> PathClass {
    match Place::of(path, None) {
        Place::Asset { path, .. } if path.starts_with("pub/") => PathClass::Public,
        Place::Asset { path, .. } if path.starts_with("restricted/") => PathClass::Restricted,
        Place::Asset { .. } => PathClass::Asset,
        Place::Other if path.starts_with("/api/") || path.starts_with("/.well-known/") => PathClass::Api,
        Place::Other => PathClass::Node,
    }
}

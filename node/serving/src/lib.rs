//! The data plane of a node: it accepts connections, routes requests, and serves pushed assets.
//!
//! ```text
//!  listener ──► router ──┬─ assets ──► serve ──┬─► Catalog    (which asset is it?)
//!  (TLS, h1, h2, h3,     │  (see place)        ├─► Admission  (may they have it? where it is not for everybody)
//!   limits, drain)       │                     └─► Slices     (its verified bytes)
//!                        ├─ zones ───► ZoneServer   (its cache, or its origins: see zones)
//!                        └─ the rest ──► ApiService
//! ```
//!
//! # What is not here
//! The control plane, and the storage of assets. What this crate has to know of an asset comes through [`Catalog`], [`Admission`] and
//! [`Slices`], traits of its own, and everything that is not an asset goes out through [`ApiService`]. So nothing here can wait for
//! the cluster, and an asset in memory is served without leaving the task of its connection.
//!
//! # What holds for every connection
//! Every wait for the peer has a deadline: the TLS handshake, the head of a request, its body, and each piece of a
//! response ([`ListenerSettings`] lists them). A connection that passes one is closed and counted in [`ServingMetrics`].

mod access;
mod body;
mod listener;
mod metrics;
mod place;
mod problem;
mod request_body;
mod request_id;
mod router;
mod serve;
pub mod zones;

#[cfg(feature = "fuzzing")]
pub mod fuzzed {
    //! What is private here and fuzzed all the same.

    pub use crate::{
        listener::fuzzed::{Tickets, interim_head, shown_for},
        zones::fuzzed::{record_again, wanted_protocol},
    };
}

pub use crate::{
    body::ApiBody,
    listener::{
        AcceptLoopDied, BindError, Certificate, CertificateError, CertificateFiles, CertificateSet, CertificateWatch, CertificatesError,
        Drained, Endpoints, Http2Settings, Http3Settings, HttpsEndpoint, Listener, ListenerSettings, PortTaken, ProxyHeader, Resumption,
        TicketKeys, TlsError, TlsIdentity, proxy_header,
    },
    metrics::{Outcome, ServingMetrics},
    request_body::{RequestBody, RequestBodyError},
    request_id::RequestId,
    router::{ApiRequest, ApiResponse, ApiService, PeerInfo, Router},
    serve::{
        Absent, Admission, AssetEntry, AssetFacts, AssetServer, BlobHash, CODED_BYTES, Catalog, CodedContent, CodedSlot, LoadedSlice,
        Lookup, Readers, Refused, RefusedReason, SLICE_BYTES, SliceError, SliceSource, Slices, Variants, ViewAge, Visit,
    },
};

/// An error of a part that this crate knows nothing about.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

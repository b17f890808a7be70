//! Bytes between machines: who has a blob, how it gets here, and how it gets to others.
//!
//! ```text
//!   serving ──► ReadThrough ──► memory ─ disk ─┐              uploads ──► CopyFan ──► Push, to other regions first
//!                    │ corrupt                 │ not here                 copy_existing ──► Pin, else Push
//!                    ▼                         ▼
//!                 Repairs ──► agent ──► Transfer::fetch_blob, fetch_slice ──► Fetch ──► BlobService of a peer ──► its store
//! ```
//!
//! # What holds
//!
//! 1. **Nothing is believed.** Bytes from a peer are checked against the BLAKE3 tree before anything else is done with them. A
//!    frame that fails is counted, the peer is named in the log, and the next peer is asked.
//! 2. **A break costs a slice.** A blob is fetched in order into a partial that survives restarts; after a break it goes on at the
//!    next slice, from another peer if need be.
//! 3. **A copy counts when it is durable.** [`CopyFan::finish`] and [`Transfer::copy_existing`] name only the nodes that answered
//!    after their fsync, with the pin taken.
//! 4. **Nobody waits for a slow node.** Every wait for a peer has a deadline ([`TransferSettings`] lists them); a copy that stalls
//!    is dropped while the upload goes on.
//! 5. **Everything is bounded.** Streams in and out, messages, blobs in flight, bytes a second, repairs that wait.
//!
//! # What is not here
//! Who the peers are and how to connect to them ([`Peers`] is implemented over the control plane), who may call
//! [`BlobService`] (the listener checks certificates before a call gets here), and what this node ought to hold (the agent).

mod call;
mod copy;
mod error;
mod fetch;
mod metrics;
mod offload;
mod order;
mod peers;
mod read;
mod service;
mod settings;
mod stat;
mod transfer;
mod wire;

pub use copy::CopyFan;
pub use error::{CallError, FetchBlobError, FetchError, Tally};
pub use metrics::{ServiceMetrics, TransferMetrics};
pub use peers::{BoxError, Peer, PeerError, Peers};
pub use read::{ReadThrough, ReadThroughError, Repair, RepairQueue, Repairs, Source};
pub use service::{BlobService, ServiceSettings};
pub use settings::TransferSettings;
pub use stat::{BlobStat, CopyStatus};
pub use transfer::Transfer;

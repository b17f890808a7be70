//! What crosses a wire between nodes, and between an operator's command line and its node.
//!
//! The messages are protobuf, because the two ends may differ in version for weeks during a rolling upgrade. What they
//! carry inside the replicated log is opaque here: its shape is the business of `ncore-model`. Nothing in this crate
//! decides anything; it is generated from `proto/*.proto` when the crate is built.
#![expect(clippy::all, clippy::pedantic, reason = "generated code")]

/// Raft messages between voters and learners.
pub mod raft {
    pub mod v1 {
        tonic::include_proto!("ncore.raft.v1");
    }
}

/// Joining, renewing, proposing and asking other nodes for their state.
pub mod cluster {
    pub mod v1 {
        tonic::include_proto!("ncore.cluster.v1");
    }
}

/// The stream by which a node follows another: entries down, pings and acknowledgements up.
pub mod hub {
    pub mod v1 {
        tonic::include_proto!("ncore.hub.v1");
    }
}

/// Verified bytes between nodes.
pub mod blobs {
    pub mod v1 {
        tonic::include_proto!("ncore.blobs.v1");
    }
}

/// What nodes ask each other of zones.
pub mod tiers {
    pub mod v1 {
        tonic::include_proto!("ncore.tiers.v1");
    }
}

/// How many requests a token may make.
pub mod limits {
    pub mod v1 {
        tonic::include_proto!("ncore.limits.v1");
    }
}

/// The access log of a node, for other nodes.
pub mod logs {
    pub mod v1 {
        tonic::include_proto!("ncore.logs.v1");
    }
}

/// Why requests for zones are answered as they are, for other nodes.
pub mod explain {
    pub mod v1 {
        tonic::include_proto!("ncore.explain.v1");
    }
}

/// How a node is and what it does, for other nodes.
pub mod figures {
    pub mod v1 {
        tonic::include_proto!("ncore.figures.v1");
    }
}

/// The operator's command line, over the node's Unix socket.
pub mod admin {
    pub mod v1 {
        tonic::include_proto!("ncore.admin.v1");
    }
}

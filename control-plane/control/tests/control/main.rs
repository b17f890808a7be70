//! The control plane of several nodes in one process: real TLS over loopback, real disks, no mocks.

mod autopilot;
mod cluster;
mod crowd;
mod edges;
mod freshness;
mod harness;
mod port;
mod rebuild;

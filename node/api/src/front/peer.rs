//! Who is at the other end of the connection.

use std::net::IpAddr;

/// The address of the other end, in the extensions of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

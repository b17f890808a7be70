//! The data plane as a client sees it: a real listener on loopback, real HTTP, and content that is known byte for byte.

mod access;
mod api;
mod assets;
mod certificates;
mod client;
mod connections;
mod http2;
mod http2_frames;
mod http2_streams;
mod http3;
mod http3_attacks;
mod node;
mod proxied;
mod shutdown;
mod variants;

//! The store as its users see it: what goes in comes out, and nothing else does.

mod content;
mod damage;
mod keeping;
mod memory;
mod partial;
mod support;
mod variants;
mod writing;

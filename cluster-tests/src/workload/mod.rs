//! What the property tests have in common: content that can be made again, uploads that are followed up until their
//! outcome is known, and the check that nothing acknowledged was lost.

mod content;
mod ledger;
mod settle;

pub use content::{Content, log_uniform};
pub use ledger::{Entry, Ledger};
pub use settle::Settler;

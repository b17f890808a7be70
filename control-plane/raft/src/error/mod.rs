//! What can go wrong, one family per thing a caller can ask for.
//!
//! Each says whose fault it is and whether to try again. Reasons for which the whole node must stop are
//! [`crate::FatalReason`].

mod change;
mod open;
mod propose;
mod read;
mod transfer;

pub use change::ChangeError;
pub use open::{InitializeError, OpenError};
pub use propose::ProposeError;
pub use read::{EntriesError, ReadError, WaitError};
pub use transfer::TransferError;

use std::{error::Error, fmt::Write};

/// An error and its sources in one line, for a log or for another node.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}

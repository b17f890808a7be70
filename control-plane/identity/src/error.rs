//! What can go wrong, one family for each thing that is done: reading and writing the files ([`LoadError`],
//! [`SaveError`]), issuing and taking certificates ([`IssueError`], [`InstallError`]), joining ([`TokenError`],
//! [`ProofError`]), checking who somebody is ([`VerifyError`], [`IdentityError`]) and unsealing ([`SealError`],
//! [`AuthorityError`]).
//!
//! Every message says what to do next. None carries a secret, nor a byte of a file that holds one.

mod install;
mod issue;
mod join;
mod load;
mod seal;
mod verify;

pub use install::InstallError;
pub use issue::IssueError;
pub use join::{ProofError, TokenError};
pub use load::{LoadError, SaveError, UpdateError};
pub use seal::{AuthorityError, SealError};
pub use verify::{IdentityError, VerifyError};

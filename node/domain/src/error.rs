//! What can go wrong, in families by what was asked for. Each says whose fault it is and whether to try again.

mod asset;
mod change;
mod credentials;
mod resumable;
mod revision;
mod signed;
mod state;
mod upload;
mod zone;

pub use asset::AssetError;
pub use change::ChangeError;
pub use credentials::{
    AddClientError, AdministratorError, AuthenticateError, Denied, IssueError, RefreshError, RevokeError, SignInError, SigningKeyError,
    TokenError,
};
pub use resumable::ResumableError;
pub use revision::RevisionError;
pub use signed::{SignError, VisitError};
pub use state::StateError;
pub use upload::UploadError;
pub use zone::ZoneError;

//! What nodes say to each other: an ask and its grant.

use crate::policy::Class;

/// Whose requests, of which class. The subject is a hash of who it is, so that no two clients share one by choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) class: Class,
    pub(crate) subject: [u8; 16],
}

impl Key {
    /// The key of a token of a client.
    pub(crate) fn of_token(class: Class, client: &str, token: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(client.len() as u64).to_le_bytes()).update(client.as_bytes()).update(token.as_bytes());
        let mut subject = [0; 16];
        hasher.finalize_xof().fill(&mut subject);
        Self { class, subject }
    }
}

/// What a node says of a subject, and wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    /// Another whenever the node has forgotten about this key, as by a new start.
    pub(crate) life: u64,
    /// Higher with each ask of this life.
    pub(crate) sequence: u64,
    /// What the node has used in this life and was not counted when it was granted.
    pub(crate) spent: u64,
    /// Permits that it still has.
    pub(crate) held: u32,
    /// Permits that it could use.
    pub(crate) want: u32,
    /// What it used within the window: how many milliseconds ago, and how much.
    pub(crate) recent: Vec<(u64, u32)>,
}

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) granted: u32,
    /// What is left for everybody.
    pub(crate) remaining: u32,
    /// When there will be more, in milliseconds from when this was said.
    pub(crate) frees_in_ms: u64,
    /// How long the permits are good, in milliseconds from when they were asked for.
    pub(crate) lease_ms: u64,
}

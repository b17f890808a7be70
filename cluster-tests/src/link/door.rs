//! Whether two ends can have connections at all.

use tokio::sync::watch;

/// Open, or shut: a shut door breaks the connections that exist (reset) and refuses new ones.
#[derive(Debug)]
pub struct Door(watch::Sender<bool>);

impl Door {
    /// An open door.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(true))
    }

    /// Opens or shuts it.
    pub fn set_open(&self, open: bool) {
        // Only a change may wake the connections: for them it means the end.
        self.0.send_if_modified(|now| std::mem::replace(now, open) != open);
    }

    /// Whether connections are let through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Breaks the connections that exist and lets new ones through.
    pub fn slam(&self) {
        // Receivers see the change of version even though the last value is "open" again.
        self.0.send_replace(false);
        self.0.send_replace(true);
    }

    /// A watch for one connection.
    pub(super) fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells one connection when to break.
pub(super) struct Watch(watch::Receiver<bool>);

impl Watch {
    /// Waits until the door was shut, if only for a moment.
    pub(super) async fn shut(&mut self) {
        // Any change after the subscription includes a moment of being shut.
        let _ = self.0.changed().await;
    }
}

//! The directory of clients as administrators see it: page by page, with nothing masked.

use ncore_model::{ClientId, Query, TableError};

use super::clients::{ClientDetails, Clients, details};
use crate::{cluster::Seen, error::StateError};

/// A page of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// The clients, in the order of their ids.
    pub rows: Vec<RosterRow>,
    /// The client after which the next page begins; `None` on the last.
    pub next: Option<ClientId>,
}

/// A client in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterRow {
    /// The client.
    pub details: ClientDetails,
    /// Bytes that its requests were answered with in the last 30 days ([`Query::bandwidth`]), over all of its domains.
    pub sent_30_days: u64,
}

impl Clients {
    /// A page of the directory: up to `limit` clients after one of them. The 30 days end with the day of `now_s`, in Unix seconds.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn roster(&self, after: Option<ClientId>, limit: usize, now_s: u64) -> Result<Seen<Roster>, StateError> {
        let roster = self.cluster.read(move |view| {
            let mut clients = view.clients_after(after.as_ref(), limit + 1)?;
            let more = clients.len() > limit;
            clients.truncate(limit);
            let next = clients.last().filter(|_| more).map(|client| client.id.clone());
            let row = |client: ncore_model::Client| {
                let sent_30_days = view.bandwidth(&client.id, now_s)?;
                Ok(RosterRow { details: details(view, client)?, sent_30_days })
            };
            Ok(Roster { rows: clients.into_iter().map(row).collect::<Result<_, TableError>>()?, next })
        });
        roster.await
    }
}

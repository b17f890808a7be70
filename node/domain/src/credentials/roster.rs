//! The directory of clients as administrators see it: page by page, with nothing masked.

use ncore_model::{ClientId, Query, TableError, UsageUnit};

use super::clients::{ClientDetails, Clients, details};
use crate::{cluster::Seen, error::StateError};

/// Over how many days the bandwidth of a client is added up, today included.
const BANDWIDTH_DAYS: u32 = 30;

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
    /// Bytes that its requests were answered with in the last 30 days, over all of its domains.
    pub sent_30_days: u64,
}

/// The days that the bandwidth is added up over, which end with the day of `now_s`, by their numbers since 1970.
pub(crate) fn bandwidth_days(now_s: u64) -> (u32, u32) {
    let today = u32::try_from(now_s / UsageUnit::Day.seconds()).unwrap_or(u32::MAX - 1);
    (today.saturating_sub(BANDWIDTH_DAYS - 1), today + 1)
}

/// Bytes that a client's requests were answered with on these days.
pub(crate) fn sent(view: &impl Query, client: &ClientId, (from, until): (u32, u32)) -> Result<u64, TableError> {
    Ok(view.usage(client, UsageUnit::Day, from, until)?.iter().map(|(_, counts)| counts.bytes_out).sum())
}

impl Clients {
    /// A page of the directory: up to `limit` clients after one of them. The 30 days end with the day of `now_s`, in Unix seconds.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn roster(&self, after: Option<ClientId>, limit: usize, now_s: u64) -> Result<Seen<Roster>, StateError> {
        let days = bandwidth_days(now_s);
        let roster = self.cluster.read(move |view| {
            let mut clients = view.clients_after(after.as_ref(), limit + 1)?;
            let more = clients.len() > limit;
            clients.truncate(limit);
            let next = clients.last().filter(|_| more).map(|client| client.id.clone());
            let row = |client: ncore_model::Client| {
                let sent_30_days = sent(view, &client.id, days)?;
                Ok(RosterRow { details: details(view, client)?, sent_30_days })
            };
            Ok(Roster { rows: clients.into_iter().map(row).collect::<Result<_, TableError>>()?, next })
        });
        roster.await
    }
}

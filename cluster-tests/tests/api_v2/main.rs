//! The API as a whole, against three nodes: every operation of the node's own document, each call at another node than the one before, with
//! the revision that was answered last; and every row of the status table, at each node.
//!
//! What the operations do in depth is the affair of other tests (`accounts`, `serving_v2`, `resumable`, `access_log`, `metering`,
//! `rate_limits`). This one knows that none was forgotten: it fails if the document has an operation that it did not call, a success that
//! it did not see, or a status that is not in its table.

mod contract;
mod operations;
mod problem;
mod scene;
mod shape;
mod statuses;

use anyhow::Result;
use cluster_tests::run::{Limit, property};

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_at_any_node_as_the_document_says() -> Result<()> {
    property("api_v2_operations", Limit::minutes(2, 2), operations::property).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_status_table_is_the_same_at_each_node() -> Result<()> {
    property("api_v2_statuses", Limit::minutes(3, 3), statuses::property).await
}

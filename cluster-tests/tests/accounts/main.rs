//! Clients, their accounts and their credentials, over the API of a three-node cluster: each call here goes to another node than the one
//! before, and presents the revision that the one before answered with, as a client of any node does.

mod standing;
mod tenants;
mod tokens;

use anyhow::Result;
use cluster_tests::run::{Limit, property};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_got_refreshed_and_ended_at_any_node() -> Result<()> {
    property("accounts_tokens", Limit::minutes(3, 3), tokens::property).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_what_its_account_says_and_no_more() -> Result<()> {
    property("accounts_standing", Limit::minutes(3, 3), standing::property).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_client_can_be_touched() -> Result<()> {
    property("accounts_tenants", Limit::minutes(3, 3), tenants::property).await
}

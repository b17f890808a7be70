//! `ncore join-token`: letting machines in.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use ncore_proto::admin::v1::{CreateJoinTokenRequest, ListJoinTokensRequest, RevokeJoinTokenRequest};
use serde_json::json;

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum JoinToken {
    /// Make a token and print it, this once
    Create(Create),
    /// List the tokens that can still be used
    List {
        #[command(flatten)]
        operator: Operator,
    },
    /// Withdraw a token
    Revoke {
        /// Which token, by the id that `list` shows
        id: String,
        #[command(flatten)]
        operator: Operator,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// Nodes that join with it are to vote
    #[arg(long)]
    voter: bool,
    /// Only nodes of this region may use it
    #[arg(long)]
    region: Option<String>,
    /// How many nodes may join with it
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// How long it is good for
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    expires: SignedDuration,
    #[command(flatten)]
    operator: Operator,
}

impl JoinToken {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List { operator } => list(&operator).await,
            Self::Revoke { id, operator } => {
                operator.connect().await?.revoke_join_token(RevokeJoinTokenRequest { id }).await.map_err(said)?;
                Ok(())
            }
        }
    }
}

impl Create {
    async fn run(self) -> Result<()> {
        let lifetime = Duration::try_from(self.expires).context("--expires cannot be negative")?;
        let request = CreateJoinTokenRequest {
            voter: self.voter,
            region: self.region.unwrap_or_default(),
            uses: self.uses,
            expires_in_s: lifetime.as_secs(),
        };
        let reply = self.operator.connect().await?.create_join_token(request).await.map_err(said)?.into_inner();
        if self.operator.json {
            return output::json(&json!({ "token": reply.token, "id": reply.id }));
        }
        output::say!("{}", reply.token);
        Ok(())
    }
}

async fn list(operator: &Operator) -> Result<()> {
    let reply = operator.connect().await?.list_join_tokens(ListJoinTokensRequest {}).await.map_err(said)?;
    let tokens = reply.into_inner().tokens;
    if operator.json {
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({
                    "id": token.id, "voter": token.voter, "region": token.region, "uses_left": token.uses_left,
                    "expires_at": token.expires_at_s,
                })
            })
            .collect();
        return output::json(&tokens);
    }
    let rows = tokens.into_iter().map(|token| {
        let expires = i64::try_from(token.expires_at_s).ok().and_then(|second| Timestamp::from_second(second).ok());
        vec![
            token.id,
            if token.voter { "yes" } else { "no" }.to_owned(),
            if token.region.is_empty() { "any".to_owned() } else { token.region },
            token.uses_left.to_string(),
            expires.map(|time| time.to_string()).unwrap_or_default(),
        ]
    });
    output::table(&["ID", "VOTER", "REGION", "USES LEFT", "EXPIRES"], rows);
    Ok(())
}

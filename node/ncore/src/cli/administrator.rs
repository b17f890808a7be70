//! `ncore administrator`: who manages clients over the API.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::SignedDuration;
use ncore_proto::admin::v1::{AddAdministratorRequest, ListAdministratorsRequest, RemoveAdministratorRequest};
use serde_json::json;

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum Administrator {
    /// Add an administrator and print the token, this once
    Add(Add),
    /// List the administrators
    List {
        #[command(flatten)]
        operator: Operator,
    },
    /// Remove an administrator: done once no node accepts the token any more
    Remove {
        /// Which one, by the id
        id: String,
        #[command(flatten)]
        operator: Operator,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// Who it is
    #[arg(long)]
    name: String,
    /// After what time the token ends, for example 90d; never if it is not given
    #[arg(long)]
    expires: Option<SignedDuration>,
    #[command(flatten)]
    operator: Operator,
}

impl Administrator {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List { operator } => list(&operator).await,
            Self::Remove { id, operator } => remove(id, &operator).await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<()> {
        let lifetime = self.expires.map(Duration::try_from).transpose().context("--expires cannot be negative")?;
        let request = AddAdministratorRequest { name: self.name, expires_in_s: lifetime.map_or(0, |lifetime| lifetime.as_secs().max(1)) };
        let reply = self.operator.connect().await?.add_administrator(request).await.map_err(said)?.into_inner();
        if self.operator.json {
            return output::json(&json!({ "id": reply.id, "token": reply.token }));
        }
        output::say!("id     {}\ntoken  {}\n\nThe token is not kept and cannot be shown again.", reply.id, reply.token);
        Ok(())
    }
}

async fn list(operator: &Operator) -> Result<()> {
    let reply = operator.connect().await?.list_administrators(ListAdministratorsRequest {}).await.map_err(said)?.into_inner();
    if operator.json {
        let all: Vec<_> = reply
            .administrators
            .iter()
            .map(|one| {
                let expires_at = (one.expires_at_s > 0).then_some(one.expires_at_s);
                json!({ "id": one.id, "name": one.name, "created_at": one.created_at_s, "expires_at": expires_at })
            })
            .collect();
        return output::json(&all);
    }
    output::table(&["ID", "NAME"], reply.administrators.into_iter().map(|one| vec![one.id, one.name]));
    Ok(())
}

async fn remove(id: String, operator: &Operator) -> Result<()> {
    let request = RemoveAdministratorRequest { id: id.clone() };
    let level = operator.connect().await?.remove_administrator(request).await.map_err(said)?.into_inner().level;
    operator.tell(&format!("{id} is removed"), &level, json!({ "id": id, "removed": true }))
}

//! `ncore client`: who may use the API.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{AddClientRequest, ListClientsRequest, RevokeTokenRequest, SetClientStatusRequest};
use serde_json::json;

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum Client {
    /// Add a client and print its id and its secret, this once
    Add(Add),
    /// List the clients
    List {
        #[command(flatten)]
        operator: Operator,
    },
    /// Refuse a client's credentials: done once no node accepts them any more
    Suspend(OneClient),
    /// Let a client act again
    Activate(OneClient),
    /// Revoke the access token on standard input: done once no node accepts it any more
    RevokeToken {
        #[command(flatten)]
        operator: Operator,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// What to call it
    #[arg(long)]
    name: String,
    /// What its tokens may be allowed; everything if none is given
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// One of its domains
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub(crate) struct OneClient {
    /// Which client, by its id
    client_id: String,
    #[command(flatten)]
    operator: Operator,
}

impl Client {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List { operator } => list(&operator).await,
            Self::Suspend(client) => client.set("suspended").await,
            Self::Activate(client) => client.set("active").await,
            Self::RevokeToken { operator } => revoke_token(&operator).await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<()> {
        let request = AddClientRequest { name: self.name, scopes: self.scopes, domains: self.domains };
        let reply = self.operator.connect().await?.add_client(request).await.map_err(said)?.into_inner();
        if self.operator.json {
            return output::json(&json!({ "client_id": reply.client_id, "secret": reply.secret }));
        }
        println!("client_id  {}\nsecret     {}\n\nThe secret is not kept and cannot be shown again.", reply.client_id, reply.secret);
        Ok(())
    }
}

impl OneClient {
    async fn set(self, status: &str) -> Result<()> {
        let request = SetClientStatusRequest { client_id: self.client_id.clone(), status: status.to_owned() };
        let level = self.operator.connect().await?.set_client_status(request).await.map_err(said)?.into_inner().level;
        if self.operator.json {
            return output::json(&json!({ "client_id": self.client_id, "status": status, "acknowledged": level }));
        }
        println!("{} is {status} {}", self.client_id, where_is(&level));
        Ok(())
    }
}

async fn revoke_token(operator: &Operator) -> Result<()> {
    // Not as an argument: those are seen by every user of the machine.
    let mut token = String::new();
    io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token).context("cannot read the token from standard input")?;
    if token.trim().is_empty() {
        bail!("there is no token on standard input");
    }
    let level = operator.connect().await?.revoke_token(RevokeTokenRequest { token }).await.map_err(said)?.into_inner().level;
    if operator.json {
        return output::json(&json!({ "revoked": true, "acknowledged": level }));
    }
    println!("the token is revoked {}", where_is(&level));
    Ok(())
}

/// What the level of an answer means to a person.
fn where_is(level: &str) -> &'static str {
    match level {
        "all" => "at every node",
        _ => "in the cluster; not every node could be asked in time, and those that are cut off refuse everybody",
    }
}

/// More than the longest token.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

async fn list(operator: &Operator) -> Result<()> {
    let clients = operator.connect().await?.list_clients(ListClientsRequest {}).await.map_err(said)?.into_inner().clients;
    if operator.json {
        let clients: Vec<_> = clients
            .iter()
            .map(|client| {
                json!({
                    "client_id": client.client_id, "name": client.name, "status": client.status, "scopes": client.scopes,
                    "domains": client.domains, "created_at": client.created_at_s,
                })
            })
            .collect();
        return output::json(&clients);
    }
    let rows = clients.into_iter().map(|client| vec![client.client_id, client.name, client.status, client.scopes.join(" ")]);
    output::table(&["CLIENT ID", "NAME", "STATUS", "SCOPES"], rows);
    Ok(())
}

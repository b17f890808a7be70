//! `ncore client`: who may use the API.

use anyhow::Result;
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{AddClientRequest, ListClientsRequest, SetClientStatusRequest};
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
    /// Refuse a client's credentials from now on
    Suspend(OneClient),
    /// Let a client act again
    Activate(OneClient),
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
        self.operator.connect().await?.set_client_status(request).await.map_err(said)?;
        if self.operator.json {
            return output::json(&json!({ "client_id": self.client_id, "status": status }));
        }
        println!("{} is {status}", self.client_id);
        Ok(())
    }
}

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

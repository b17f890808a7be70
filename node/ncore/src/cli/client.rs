//! `ncore client`: who may use the API.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use bytesize::ByteSize;
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{
    AddClientRequest, ClientRequest, ListClientsRequest, Plan, RevokeTokenRequest, SetClientStatusRequest, StringList, UpdateClientRequest,
};
use serde_json::json;

use super::{
    operator::{Operator, said, where_is},
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
    /// Let a client read, and its content be served, and nothing else
    Review(OneClient),
    /// Change what a client is called, may do, and pays for
    Update(Update),
    /// Make another secret and refresh token, in place of those that the client has
    RotateSecret(OneClient),
    /// Make a further refresh token
    RefreshToken(OneClient),
    /// Remove a client that has no assets
    Remove(OneClient),
    /// Revoke the token on standard input: an access token, or a refresh token and all that came of it; done once no node accepts it
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
    /// A range of addresses from which its credentials may be used; from anywhere if none is given
    #[arg(long = "ip-range", value_name = "RANGE")]
    ip_ranges: Vec<String>,
    #[command(flatten)]
    plan: PlanArgs,
    /// What it is at first: active, review or suspended
    #[arg(long, default_value = "active")]
    status: String,
    #[command(flatten)]
    operator: Operator,
}

/// What a client pays for.
#[derive(Args)]
pub(crate) struct PlanArgs {
    /// What its plan is called
    #[arg(long, default_value = "")]
    plan: String,
    /// How many bytes its assets may have together, for example 500GiB
    #[arg(long, value_name = "SIZE")]
    storage_quota: Option<ByteSize>,
    /// How many bytes may be served for it in 30 days
    #[arg(long, value_name = "SIZE")]
    bandwidth_quota: Option<ByteSize>,
    /// How many zones it may have
    #[arg(long, value_name = "NUMBER")]
    zones: Option<u32>,
}

#[derive(Args)]
pub(crate) struct Update {
    /// Which client, by its id
    client_id: String,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// What its tokens may be allowed, in place of what they were
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// One of its domains, in place of those that it had
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// A range of addresses, in place of those that it had; 0.0.0.0/0 and ::/0 hold every address
    #[arg(long = "ip-range", value_name = "RANGE")]
    ip_ranges: Vec<String>,
    /// Replace its plan by what the other options say of it
    #[arg(long)]
    replace_plan: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    operator: Operator,
}

impl PlanArgs {
    fn message(self) -> Plan {
        Plan {
            name: self.plan,
            storage_bytes: self.storage_quota.map(|size| size.as_u64()),
            bandwidth_bytes: self.bandwidth_quota.map(|size| size.as_u64()),
            zones: self.zones,
        }
    }
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
            Self::Review(client) => client.set("review").await,
            Self::Update(update) => update.run().await,
            Self::RotateSecret(client) => client.rotate_secret().await,
            Self::RefreshToken(client) => client.refresh_token().await,
            Self::Remove(client) => client.remove().await,
            Self::RevokeToken { operator } => revoke_token(&operator).await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<()> {
        let request = AddClientRequest {
            name: self.name,
            scopes: self.scopes,
            domains: self.domains,
            plan: Some(self.plan.message()),
            ip_ranges: self.ip_ranges,
            status: self.status,
            since_s: 0,
        };
        let reply = self.operator.connect().await?.add_client(request).await.map_err(said)?.into_inner();
        if self.operator.json {
            return output::json(&json!({
                "client_id": reply.client_id, "secret": reply.secret, "refresh_token": reply.refresh_token,
            }));
        }
        output::say!("client_id      {}\nsecret         {}\nrefresh_token  {}\n", reply.client_id, reply.secret, reply.refresh_token);
        output::say!("Neither is kept, and neither can be shown again.");
        Ok(())
    }
}

impl OneClient {
    async fn set(self, status: &str) -> Result<()> {
        let request = SetClientStatusRequest { client_id: self.client_id.clone(), status: status.to_owned() };
        let level = self.operator.connect().await?.set_client_status(request).await.map_err(said)?.into_inner().level;
        let text = format!("{} is {status}", self.client_id);
        self.operator.tell(&text, &level, json!({ "client_id": self.client_id, "status": status }))
    }
}

impl OneClient {
    fn request(&self) -> ClientRequest {
        ClientRequest { client_id: self.client_id.clone() }
    }

    async fn rotate_secret(self) -> Result<()> {
        let reply = self.operator.connect().await?.rotate_secret(self.request()).await.map_err(said)?.into_inner();
        if self.operator.json {
            return output::json(&json!({
                "client_id": self.client_id, "secret": reply.secret, "refresh_token": reply.refresh_token, "acknowledged": reply.level,
            }));
        }
        output::say!("secret         {}\nrefresh_token  {}\n", reply.secret, reply.refresh_token);
        output::say!("What was got with those before is refused {}", where_is(&reply.level));
        Ok(())
    }

    async fn refresh_token(self) -> Result<()> {
        let token = self.operator.connect().await?.add_refresh_token(self.request()).await.map_err(said)?.into_inner().refresh_token;
        if self.operator.json {
            return output::json(&json!({ "client_id": self.client_id, "refresh_token": token }));
        }
        output::say!("refresh_token  {token}");
        Ok(())
    }

    async fn remove(self) -> Result<()> {
        let level = self.operator.connect().await?.remove_client(self.request()).await.map_err(said)?.into_inner().level;
        let text = format!("{} is removed", self.client_id);
        self.operator.tell(&text, &level, json!({ "client_id": self.client_id, "removed": true }))
    }
}

impl Update {
    async fn run(self) -> Result<()> {
        let list = |values: Vec<String>| (!values.is_empty()).then_some(StringList { values });
        let request = UpdateClientRequest {
            client_id: self.client_id.clone(),
            name: self.name,
            scopes: list(self.scopes),
            domains: list(self.domains),
            ip_ranges: list(self.ip_ranges),
            plan: self.replace_plan.then(|| self.plan.message()),
        };
        let level = self.operator.connect().await?.update_client(request).await.map_err(said)?.into_inner().level;
        let text = format!("{} is changed", self.client_id);
        self.operator.tell(&text, &level, json!({ "client_id": self.client_id }))
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
    operator.tell("the token is revoked", &level, json!({ "revoked": true }))
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
                    "domains": client.domains, "created_at": client.created_at_s, "since": client.since_s, "ip_ranges": client.ip_ranges,
                    "plan": client.plan.as_ref().map(|plan| json!({
                        "name": plan.name, "storage_bytes": plan.storage_bytes, "bandwidth_bytes": plan.bandwidth_bytes,
                        "zones": plan.zones,
                    })),
                    "used_bytes": client.used_bytes, "assets": client.assets,
                })
            })
            .collect();
        return output::json(&clients);
    }
    let rows = clients.into_iter().map(|client| vec![client.client_id, client.name, client.status, client.scopes.join(" ")]);
    output::table(&["CLIENT ID", "NAME", "STATUS", "SCOPES"], rows);
    Ok(())
}

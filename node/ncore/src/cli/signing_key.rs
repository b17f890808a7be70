//! `ncore signing-key`: the keys that sign access tokens.

use anyhow::Result;
use clap::Subcommand;
use ncore_proto::admin::v1::{ListSigningKeysRequest, RemoveSigningKeyRequest, RotateSigningKeyRequest};
use serde_json::json;

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum SigningKey {
    /// List the keys, and what each of them does
    List {
        #[command(flatten)]
        operator: Operator,
    },
    /// Add a key: it is published now and signs from an hour on
    Rotate {
        #[command(flatten)]
        operator: Operator,
    },
    /// Remove a key, and with it every access token that it signed: for a key that was betrayed
    Remove {
        /// Which key, by its id
        id: String,
        #[command(flatten)]
        operator: Operator,
    },
}

impl SigningKey {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::List { operator } => list(&operator).await,
            Self::Rotate { operator } => rotate(&operator).await,
            Self::Remove { id, operator } => remove(id, &operator).await,
        }
    }
}

async fn list(operator: &Operator) -> Result<()> {
    let keys = operator.connect().await?.list_signing_keys(ListSigningKeysRequest {}).await.map_err(said)?.into_inner().keys;
    if operator.json {
        let keys: Vec<_> = keys.iter().map(|key| json!({ "id": key.id, "use": key.r#use, "created_at": key.created_at_s })).collect();
        return output::json(&keys);
    }
    output::table(&["ID", "USE"], keys.into_iter().map(|key| vec![key.id, key.r#use]));
    Ok(())
}

async fn rotate(operator: &Operator) -> Result<()> {
    let id = operator.connect().await?.rotate_signing_key(RotateSigningKeyRequest {}).await.map_err(said)?.into_inner().id;
    if operator.json {
        return output::json(&json!({ "id": id }));
    }
    output::say!("{id} is published, and signs from an hour on");
    Ok(())
}

async fn remove(id: String, operator: &Operator) -> Result<()> {
    let request = RemoveSigningKeyRequest { id: id.clone() };
    let level = operator.connect().await?.remove_signing_key(request).await.map_err(said)?.into_inner().level;
    operator.tell(&format!("{id} is removed"), &level, json!({ "id": id, "removed": true }))
}

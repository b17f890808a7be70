//! The client that `ncore dev` makes, kept so that the next start finds it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result};
use ncore_proto::admin::v1::AddClientRequest;
use serde::{Deserialize, Serialize};

use crate::{
    cli::operator::{connect, said},
    config::Config,
};

#[derive(Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) client_id: String,
    pub(super) secret: String,
}

impl Credentials {
    pub(super) async fn find_or_make(dir: &Path, config: &Config) -> Result<Self> {
        let file = dir.join("credentials.json");
        if let Ok(text) = fs::read_to_string(&file) {
            return serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()));
        }
        let request = AddClientRequest { name: "dev".to_owned(), ..AddClientRequest::default() };
        let reply = connect(config.admin_socket()).await?.add_client(request).await.map_err(said)?.into_inner();
        let credentials = Self { client_id: reply.client_id, secret: reply.secret };
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        out.write_all(&serde_json::to_vec_pretty(&credentials)?)?;
        Ok(credentials)
    }
}

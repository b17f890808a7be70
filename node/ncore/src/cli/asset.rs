//! `ncore asset`: assets over the API, as any client would use it.

mod remote;
mod upload;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::Value;
use tokio::{fs::File, io::AsyncWriteExt};

use super::output;
use remote::Remote;

#[derive(Subcommand)]
pub(crate) enum Asset {
    /// Upload a file
    Put {
        /// Which file
        file: PathBuf,
        /// Where to; the name of the file if none is given
        path: Option<String>,
        /// How long others may cache it, in seconds
        #[arg(long)]
        cache_ttl: Option<u32>,
        /// Wait until every node has it
        #[arg(long)]
        wait: bool,
        /// Only for those with a token of this client or an address that it has signed
        #[arg(long)]
        restricted: bool,
        #[command(flatten)]
        api: Api,
    },
    /// Download an asset
    Get {
        /// Its path
        path: String,
        /// Where to; standard output if none is given
        #[arg(short, long)]
        output: Option<PathBuf>,
        #[command(flatten)]
        api: Api,
    },
    /// List assets
    Ls {
        /// What their paths start with
        #[arg(default_value = "")]
        prefix: String,
        /// Only this MIME type
        #[arg(long)]
        mime: Option<String>,
        #[command(flatten)]
        api: Api,
    },
    /// Delete an asset
    Rm {
        /// Its id or its path
        asset: String,
        #[command(flatten)]
        api: Api,
    },
    /// Give an asset another path
    Mv {
        /// Its id or its path
        asset: String,
        /// Where to
        path: String,
        #[command(flatten)]
        api: Api,
    },
    /// Sign an address that lets others read a restricted asset
    Sign {
        /// Its path; with --prefix, what the paths of several begin with, up to a slash
        path: String,
        /// Sign for all assets whose paths begin so
        #[arg(long)]
        prefix: bool,
        /// How long it is good for, in seconds
        #[arg(long, default_value_t = 3_600)]
        expires_in: u64,
        /// Only for this address or network
        #[arg(long)]
        ip: Option<String>,
        #[command(flatten)]
        api: Api,
    },
    /// Show which node holds an asset
    Status {
        /// Its id or its path
        asset: String,
        #[command(flatten)]
        api: Api,
    },
}

/// Which API, and as whom.
#[derive(Args, Clone)]
pub(crate) struct Api {
    /// The base URL of any node
    #[arg(long, env = "NCORE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The client
    #[arg(long, env = "NCORE_CLIENT_ID")]
    client_id: Option<String>,
    /// Its secret; better set in the environment, where other users do not see it
    #[arg(long, env = "NCORE_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Asset {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Put { file, path, cache_ttl, wait, restricted, api } => {
                let remote = Remote::connect(&api).await?;
                let asset = upload::upload(&remote, &file, upload::Wanted { path, cache_ttl, restricted }, !api.json).await?;
                if wait {
                    upload::wait_until_replicated(&remote, &asset, !api.json).await?;
                }
                show(&api, &asset)
            }
            Self::Get { path, output, api } => get(&api, &path, output).await,
            Self::Ls { prefix, mime, api } => list(&api, &prefix, mime.as_deref()).await,
            Self::Rm { asset, api } => {
                let remote = Remote::connect(&api).await?;
                let id = remote.id_of(&asset).await?;
                remote.delete(&format!("/api/v2/assets/{id}")).await?;
                match api.json {
                    true => output::json(&serde_json::json!({ "id": id, "deleted": true })),
                    false => {
                        output::say!("deleted {id}");
                        Ok(())
                    }
                }
            }
            Self::Mv { asset, path, api } => {
                let remote = Remote::connect(&api).await?;
                let id = remote.id_of(&asset).await?;
                let request = remote.post(&format!("/api/v2/assets/{id}/move")).json(&serde_json::json!({ "path": path }));
                show(&api, &remote.checked(request).await?.json().await?)
            }
            Self::Sign { path, prefix, expires_in, ip, api } => {
                let (of, shown) = if prefix { ("prefix", "query") } else { ("path", "url") };
                let wanted = serde_json::json!({ of: path, "expires_in": expires_in, "ip": ip });
                sign(&api, &wanted, shown).await
            }
            Self::Status { asset, api } => status(&api, &asset).await,
        }
    }
}

fn show(api: &Api, asset: &Value) -> Result<()> {
    if api.json {
        return output::json(asset);
    }
    output::say!("{}  {}", text(asset, "id"), text(asset, "url"));
    Ok(())
}

async fn sign(api: &Api, wanted: &Value, shown: &str) -> Result<()> {
    let remote = Remote::connect(api).await?;
    let signed: Value = remote.checked(remote.post("/api/v2/assets/sign").json(wanted)).await?.json().await?;
    if api.json {
        return output::json(&signed);
    }
    output::say!("{}", text(&signed, shown));
    Ok(())
}

async fn get(api: &Api, path: &str, output: Option<PathBuf>) -> Result<()> {
    let remote = Remote::anonymous(api)?;
    let mut response = remote.fetch(&format!("/assets/{path}")).await?;
    let bar = upload::bar(response.content_length().unwrap_or(0), output.is_some() && !api.json);
    let Some(file) = output else {
        let mut stdout = std::io::stdout().lock();
        while let Some(chunk) = response.chunk().await.context("the download broke off")? {
            std::io::Write::write_all(&mut stdout, &chunk)?;
        }
        return Ok(std::io::Write::flush(&mut stdout)?);
    };
    // Beside the target and renamed at the end, so that a broken download never looks like a file.
    let partial = file.with_added_extension("part");
    let mut out = File::create(&partial).await.with_context(|| format!("cannot write {}", partial.display()))?;
    while let Some(chunk) = response.chunk().await.context("the download broke off")? {
        out.write_all(&chunk).await?;
        bar.inc(chunk.len() as u64);
    }
    out.sync_all().await?;
    tokio::fs::rename(&partial, &file).await?;
    bar.finish_and_clear();
    Ok(())
}

async fn list(api: &Api, prefix: &str, mime: Option<&str>) -> Result<()> {
    let remote = Remote::connect(api).await?;
    let assets = remote.list(prefix, mime).await?;
    if api.json {
        return output::json(&assets);
    }
    let rows = assets.iter().map(|asset| {
        let replicated = if asset["replicated"] == true { "yes" } else { "not yet" };
        let size = bytesize::ByteSize::b(asset["size"].as_u64().unwrap_or(0)).to_string();
        vec![text(asset, "path"), size, text(asset, "mime"), replicated.to_owned(), text(asset, "id")]
    });
    output::table(&["PATH", "SIZE", "TYPE", "REPLICATED", "ID"], rows);
    Ok(())
}

async fn status(api: &Api, asset: &str) -> Result<()> {
    let remote = Remote::connect(api).await?;
    let id = remote.id_of(asset).await?;
    let status = remote.get(&format!("/api/v2/assets/{id}/replication")).await?;
    if api.json {
        return output::json(&status);
    }
    output::say!("{id}  replicated: {}", if status["replicated"] == true { "yes" } else { "not yet" });
    let rows = status["nodes"].as_array().into_iter().flatten().map(|node| {
        let verified = match &node["verified_at"] {
            Value::Null => "-".to_owned(),
            Value::Number(second) => {
                let time = second.as_i64().and_then(|second| jiff::Timestamp::from_second(second).ok());
                time.map_or_else(|| second.to_string(), |time| time.to_string())
            }
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        vec![text(node, "node"), text(node, "region"), text(node, "state"), node["bytes"].to_string(), verified]
    });
    output::table(&["NODE", "REGION", "STATE", "BYTES", "VERIFIED AT"], rows);
    Ok(())
}

/// A field as text, whatever its type.
fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

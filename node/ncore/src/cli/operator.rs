//! How an operator's command reaches the node of this machine: gRPC over the Unix socket in its data directory.
//!
//! Whoever can open the socket may do everything: its mode is 0600, so that is the user of the node, and root.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use hyper_util::rt::TokioIo;
use ncore_proto::admin::v1::admin_client::AdminClient;
use serde_json::Value;
use tokio::net::UnixStream;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::output;
use crate::config::{self, Overrides};

/// Which node a command is for.
#[derive(Args)]
pub(crate) struct Operator {
    /// The configuration of the node on this machine
    #[arg(long, env = "NCORE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its data directory, in place of --config
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Operator {
    /// Connects to the node.
    pub(crate) async fn connect(&self) -> Result<AdminClient<Channel>> {
        let socket = match (&self.data_dir, &self.config) {
            (Some(dir), _) => dir.join("admin.sock"),
            (None, Some(file)) => config::load(file, &Overrides::of_process(&[]))?.admin_socket(),
            (None, None) => bail!("which node? give --config or --data-dir, or set NCORE_CONFIG"),
        };
        connect(socket).await
    }

    /// Tells of a change that is done: `text`, and where it holds; or `document`, with the level of the acknowledgement in it.
    pub(crate) fn tell(&self, text: &str, level: &str, mut document: Value) -> Result<()> {
        if self.json {
            document["acknowledged"] = level.into();
            return output::json(&document);
        }
        output::say!("{text} {}", where_is(level));
        Ok(())
    }
}

/// Connects to the node with this socket.
pub(crate) async fn connect(socket: PathBuf) -> Result<AdminClient<Channel>> {
    let unreachable = format!("no node answers at {}; is it running, and are you its user?", socket.display());
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The address is for the HTTP/2 layer only; the connector knows where to go.
    let channel = Endpoint::from_static("http://admin").connect_with_connector(connector).await;
    // Each layer in between says the same once more.
    let channel = channel.map_err(|error| anyhow::anyhow!("{}", anyhow::Error::new(error).root_cause())).context(unreachable)?;
    Ok(AdminClient::new(channel))
}

/// What the node said, for a person.
#[expect(clippy::needless_pass_by_value, reason = "its users map errors with it")]
pub(crate) fn said(status: Status) -> anyhow::Error {
    anyhow::anyhow!("{}", status.message())
}

/// What the level of an answer means to a person.
pub(super) fn where_is(level: &str) -> &'static str {
    match level {
        "all" => "at every node",
        _ => "in the cluster; not every node could be asked in time, and those that are cut off refuse everybody",
    }
}

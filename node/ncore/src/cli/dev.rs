//! `ncore dev`: a cluster of three regions on this machine, of real processes, to try things out.

mod credentials;
mod process;
mod samples;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use ncore_model::SCHEMA_MAX;
use ncore_proto::admin::v1::{CreateJoinTokenRequest, StatusRequest};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use super::{
    init,
    operator::{connect, said},
    output,
};
use crate::config::{self, Config, Overrides};
use credentials::Credentials;
use process::NodeProcess;

/// The three regions: Amsterdam, New York, Singapore.
const REGIONS: [&str; 3] = ["eu-ams", "us-nyc", "ap-sin"];
/// How long a node may take to become ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct Dev {
    /// Where to keep the nodes' data; it is found again by the next start
    #[arg(long, default_value = ".dev", value_name = "DIR")]
    dir: PathBuf,
    /// The first port for assets and API; the three regions use this one and the next two
    #[arg(long, default_value_t = 8081)]
    http_port: u16,
    /// The first port between nodes
    #[arg(long, default_value_t = 7401)]
    cluster_port: u16,
}

impl Dev {
    pub(crate) async fn run(self) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut nodes = Vec::new();
        let result = tokio::select! {
            result = self.start_and_watch(&mut nodes) => result,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        output::say!("\nstopping ...");
        for node in &nodes {
            node.ask_to_stop();
        }
        for node in &mut nodes {
            node.wait_or_kill().await;
        }
        result.map(|()| output::say!("stopped; `ncore dev` goes on where this ended, data is in {}", self.dir.display()))
    }

    async fn start_and_watch(&self, nodes: &mut Vec<NodeProcess>) -> Result<()> {
        let dir = std::path::absolute(&self.dir)?;
        output::say!("starting three regions, data in {}", dir.display());
        let configs = (0..REGIONS.len()).map(|at| self.configure(&dir, at)).collect::<Result<Vec<_>>>()?;
        if !configs[0].1.node.data_dir.join("identity").exists() {
            init::found(&configs[0].1)?;
        }
        for (at, (file, config)) in configs.iter().enumerate() {
            let joining = at > 0 && !config.node.data_dir.join("identity").exists();
            let token = if joining { Some(join_token(&configs[0].1).await?) } else { None };
            nodes.push(NodeProcess::start(file, config, token)?);
            // The first must answer before another can join it; nodes that are members already find each other.
            if at == 0 && REGIONS.len() > 1 && !configs[1].1.node.data_dir.join("identity").exists() {
                nodes[0].wait_ready(READY_DEADLINE).await?;
            }
            if joining {
                nodes[at].wait_ready(READY_DEADLINE).await?;
            }
        }
        for node in nodes.iter_mut() {
            node.wait_ready(READY_DEADLINE).await?;
            output::say!("  {:8} {}", node.region, node.url);
        }
        wait_for_all(&configs[0].1).await?;
        let credentials = Credentials::find_or_make(&dir, &configs[0].1).await?;
        samples::push(&nodes[0].url, &credentials).await?;
        self.greet(nodes, &credentials);
        loop {
            for node in nodes.iter_mut() {
                node.check()?;
            }
            sleep(POLL).await;
        }
    }

    /// The configuration of one region: written once, and the operator's own from then on.
    fn configure(&self, dir: &Path, at: usize) -> Result<(PathBuf, Config)> {
        let region = REGIONS[at];
        let home = dir.join(region);
        let file = home.join("ncore.toml");
        if !file.exists() {
            fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
            let offset = u16::try_from(at)?;
            let (http, cluster) = (self.http_port + offset, self.cluster_port + offset);
            let text = format!(
                "# Made by `ncore dev`. Change it as you like: it is not written again.\n\
                 [node]\nname = \"{region}-1\"\nregion = \"{region}\"\ndata_dir = \"{}\"\n\n\
                 [listen]\nhttp = \"127.0.0.1:{http}\"\ncluster = \"127.0.0.1:{cluster}\"\nstop_delay = \"0s\"\n\n\
                 [origins]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\n",
                home.join("data").display()
            );
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        // What overrides a node's settings is not meant for three at once.
        let config = config::load(&file, &Overrides::default())?;
        Ok((file, config))
    }

    fn greet(&self, nodes: &[NodeProcess], credentials: &Credentials) {
        let [ams, nyc, sin] = [&nodes[0].url, &nodes[1].url, &nodes[2].url];
        let Credentials { client_id, secret } = credentials;
        output::say!(
            "\nclient_id  {client_id}\nsecret     {secret}\n\n\
             Try it: get a token, upload a file in Amsterdam, fetch it in Singapore and see which node holds it.\n\n\
             TOKEN=$(curl -s {ams}/api/v2/auth/token -d client_id={client_id} -d client_secret={secret} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n\
             ID=$(curl -s -H \"Authorization: Bearer $TOKEN\" -F file=@README.md -F path=docs/readme.md {ams}/api/v2/assets/upload | sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/')\n\
             curl -s {sin}/assets/docs/readme.md | head -3; curl -s -H \"Authorization: Bearer $TOKEN\" {nyc}/api/v2/assets/$ID/replication\n\n\
             The page of a node: {ams}/  ·  Sample assets: {ams}/assets/samples/index.html  ·  Operators: ncore cluster status --config {}\n\
             Ctrl-C stops all three.",
            self.dir.join(REGIONS[0]).join("ncore.toml").display()
        );
    }
}

async fn join_token(config: &Config) -> Result<String> {
    let request = CreateJoinTokenRequest { voter: true, region: String::new(), uses: 1, expires_in_s: 600 };
    let mut client = connect(config.admin_socket()).await?;
    Ok(client.create_join_token(request).await.map_err(said)?.into_inner().token)
}

/// Waits until all three vote and the cluster has all that this build can: the client that is made then is allowed all of it.
async fn wait_for_all(config: &Config) -> Result<()> {
    let end = Instant::now() + READY_DEADLINE;
    while Instant::now() < end {
        let mut client = connect(config.admin_socket()).await?;
        let status = client.status(StatusRequest { state_hash: false }).await.map_err(said)?.into_inner();
        let level = config.cluster.schema_level_max.map_or(SCHEMA_MAX, |level| level.min(SCHEMA_MAX));
        let voters = status.nodes.iter().filter(|node| node.voter && node.reachable).count();
        if status.leader != 0 && voters >= REGIONS.len() && status.schema_level >= level {
            return Ok(());
        }
        sleep(POLL).await;
    }
    bail!("not all three nodes vote yet, or the schema level is not raised; see the logs in the data directory");
}

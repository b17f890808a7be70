//! The load as a node of the cluster: an edge that asks the leader for each change as the API of any node does.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use cluster_tests::wait;
use ncore_control::{
    AutopilotSettings, Change, Control, ControlConfig, ControlPlane, HubSettings, Joiner, MembershipChange, Peers, SelfDescription,
    SystemClock, join, new_request_id,
};
use ncore_identity::{IdentityHandle, IdentityStore, JoinToken};
use ncore_model::{AddClient, Command, NodeId, Outcome, SchemaRange};
use ncore_replica::Replica;
use tonic::service::Routes;

use crate::{
    clients::{Cluster, VALUE},
    process::free_port,
    voters::{REGION, Voters},
};

/// How long the way to the leader may take to be the shortest.
const READY: Duration = Duration::from_secs(30);
/// How long joining, and one change, may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Three voters, and this process as the edge through which they are written to.
pub(crate) struct Ours {
    pub(crate) voters: Voters,
    pub(crate) control: Arc<Control>,
}

impl Ours {
    /// Starts the voters in `dir` and joins them.
    pub(crate) async fn start(binary: &Path, dir: &Path) -> Result<Self> {
        let voters = Voters::start(binary, dir).await?;
        let control = enter(&voters, &dir.join("edge")).await?;
        let ours = Self { voters, control };
        ours.shorten().await?;
        Ok(ours)
    }

    /// Has the voter lead that the edge follows, so that a change goes to one node and comes back from it.
    async fn shorten(&self) -> Result<()> {
        wait::until(READY, "the load to follow the leader", || async {
            let hub = self.control.status().parent.context("the load follows nobody")?.node;
            if self.control.leader() != Some(hub.0) {
                self.control.change_membership(MembershipChange::TransferLeader(hub), DEADLINE).await?;
            }
            ensure!(self.control.leader() == Some(hub.0), "{hub} does not lead yet");
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Ends the edge. The voters end when this is dropped.
    pub(crate) async fn end(&self) {
        self.control.shutdown().await;
    }
}

impl Cluster for Ours {
    /// Adds a client whose name is the value: one new row under a new key, and the answer, which is kept for an hour.
    async fn write(&self, client: usize) -> Result<()> {
        let command = Command::AddClient(AddClient {
            name: format!("{client:0>VALUE$}"),
            secret_hash: String::new(),
            scopes: Vec::new(),
            domains: Vec::new(),
        });
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: DEADLINE };
        let committed = self.control.propose(change).await?;
        ensure!(matches!(committed.outcome, Outcome::ClientAdded(_)), "{:?}", committed.outcome);
        Ok(())
    }

    fn processes(&self) -> Vec<u32> {
        self.voters.processes()
    }

    async fn syncs(&self) -> Result<u64> {
        self.voters.syncs().await
    }
}

/// What a machine of this process says of itself when it joins.
pub(crate) fn joiner(name: &str, port: u16) -> Joiner {
    Joiner {
        name: name.to_owned(),
        region: REGION.to_owned(),
        cluster_address: format!("127.0.0.1:{port}"),
        http_address: format!("http://{name}"),
        schema: SchemaRange::BUILD,
        dial: HashMap::new(),
    }
}

async fn enter(voters: &Voters, dir: &Path) -> Result<Arc<Control>> {
    std::fs::create_dir_all(dir)?;
    let token = JoinToken::decode(&voters.token(&[], 1).await?).context("the join token")?;
    let port = free_port()?;
    let joined = join(&token, &joiner("load", port), DEADLINE).await?;
    joined.first_hubs.save(dir)?;
    let store = Arc::new(IdentityStore::at(dir));
    store.create(&joined.identity)?;
    let id = NodeId(joined.identity.node_id());
    let identity = IdentityHandle::new(joined.identity);
    let replica = Arc::new(Replica::open(&dir.join("state"))?);
    let peers = Arc::new(Peers::new(id, REGION.to_owned(), Arc::clone(&replica), identity.clone(), HashMap::new()));
    let described = joiner("load", port);
    let config = ControlConfig {
        data_dir: dir.to_owned(),
        founding: false,
        log_keep: 100_000,
        freshness_bound: Duration::from_secs(5),
        hub: HubSettings::default(),
        first_hubs: joined.first_hubs,
        description: SelfDescription {
            name: described.name,
            region: described.region,
            cluster_address: described.cluster_address,
            http_address: described.http_address,
            schema: described.schema,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
        },
        listen: ([127, 0, 0, 1], port).into(),
        dial: HashMap::new(),
        heartbeat: Duration::from_millis(100),
        election: (Duration::from_millis(300), Duration::from_millis(600)),
        snapshot_rate: 64 << 20,
        clock: Arc::new(SystemClock),
        autopilot: AutopilotSettings::default(),
    };
    let control = Control::start(config, replica, identity, store, peers, Routes::default()).await?;
    wait::until(DEADLINE, "the load to know the leader", || async { control.leader().filter(|leader| *leader != 0) }).await?;
    Ok(control)
}

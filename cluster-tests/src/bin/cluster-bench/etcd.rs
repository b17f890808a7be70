//! etcd: three members of one cluster on loopback, mutual TLS between them and with clients, all else as it comes.

mod certificates;
mod connection;

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use cluster_tests::{
    cluster::{Ports, Reaper},
    wait,
};

use crate::{
    clients::{Cluster, VALUE},
    node::figure,
    process::{pinned, stop},
};
use connection::Connection;

/// How long the members may take to have a leader.
const READY: Duration = Duration::from_secs(60);
const COUNT: usize = 3;
/// Connections to a member, over which the clients are spread: one would be a bottleneck of its own.
const CONNECTIONS: usize = 8;

/// A cluster of etcd. Ended when dropped.
pub(crate) struct Etcd {
    members: Vec<Member>,
    leader: Vec<Connection>,
    follower: Vec<Connection>,
    keys: AtomicU64,
    http: reqwest::Client,
    _ports: Ports,
    // Behind the members: kills what is left of them, however this process ends.
    _reaper: Reaper,
}

/// Which member the clients of etcd speak to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entrance {
    /// The leader, which spares a hop.
    Leader,
    /// A member that asks the leader, as ours does.
    Follower,
}

/// A cluster of etcd, as clients of one entrance see it.
pub(crate) struct Through {
    etcd: Arc<Etcd>,
    entrance: Entrance,
}

struct Member {
    child: Child,
    client: u16,
    metrics: u16,
}

impl Etcd {
    /// Starts it in `dir`; `None` if etcd is not installed.
    pub(crate) async fn start(dir: &Path) -> Result<Option<Self>> {
        if !Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        fs::create_dir_all(dir)?;
        certificates::write(dir)?;
        let (mut ports, reaper) = (Ports::reserve()?, Reaper::start()?);
        let mut peers = Vec::new();
        for _ in 0..COUNT {
            peers.push(ports.take()?);
        }
        let named: Vec<String> = peers.iter().enumerate().map(|(at, port)| format!("m{at}=https://127.0.0.1:{port}")).collect();
        let mut members = Vec::new();
        for (at, peer) in peers.iter().enumerate() {
            let (client, metrics) = (ports.take()?, ports.take()?);
            let mut command = member(dir, at, *peer, client, metrics, &named.join(","))?;
            let child = command.process_group(reaper.group()).spawn().context("cannot start etcd under taskset")?;
            members.push(Member { child, client, metrics });
        }
        let tls = certificates::client(dir)?;
        let leader = wait::until(READY, "etcd to have a leader", || async {
            for member in &members {
                let connection = Connection::open(member.client, Arc::clone(&tls))?;
                if connection.leads().await? {
                    return Ok(member.client);
                }
            }
            bail!("no member says that it leads")
        })
        .await?;
        let follower = members.iter().map(|member| member.client).find(|port| *port != leader).context("etcd has one member")?;
        let connections = |port| (0..CONNECTIONS).map(|_| Connection::open(port, Arc::clone(&tls))).collect::<Result<_>>();
        let (leader, follower) = (connections(leader)?, connections(follower)?);
        let http = reqwest::Client::new();
        Ok(Some(Self { members, leader, follower, keys: AtomicU64::new(0), http, _ports: ports, _reaper: reaper }))
    }

    /// Has clients come in there.
    pub(crate) fn through(self: &Arc<Self>, entrance: Entrance) -> Arc<Through> {
        Arc::new(Through { etcd: Arc::clone(self), entrance })
    }
}

impl Cluster for Through {
    async fn write(&self, client: usize) -> Result<()> {
        let key = format!("{:016}", self.etcd.keys.fetch_add(1, Ordering::Relaxed));
        let connections = match self.entrance {
            Entrance::Leader => &self.etcd.leader,
            Entrance::Follower => &self.etcd.follower,
        };
        connections[client % CONNECTIONS].put(key.into_bytes(), vec![b'v'; VALUE]).await
    }

    fn processes(&self) -> Vec<u32> {
        self.etcd.members.iter().map(|member| member.child.id()).collect()
    }

    /// Of the write-ahead logs and of the databases.
    async fn syncs(&self) -> Result<u64> {
        let mut syncs = 0;
        for member in &self.etcd.members {
            let url = format!("http://127.0.0.1:{}/metrics", member.metrics);
            let figures = self.etcd.http.get(url).send().await?.error_for_status()?.text().await?;
            syncs += figure(&figures, "etcd_disk_wal_fsync_duration_seconds_count")?;
            syncs += figure(&figures, "etcd_disk_backend_commit_duration_seconds_count")?;
        }
        Ok(syncs)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            stop(&mut member.child);
        }
    }
}

fn member(dir: &Path, at: usize, peer: u16, client: u16, metrics: u16, cluster: &str) -> Result<Command> {
    let file = |name: &str| dir.join(name).display().to_string();
    let [peer, client] = [peer, client].map(|port| format!("https://127.0.0.1:{port}"));
    let mut command = pinned("etcd");
    command
        .arg(format!("--name=m{at}"))
        .arg(format!("--data-dir={}", file(&format!("m{at}"))))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"))
        .arg(format!("--initial-cluster={cluster}"))
        .args(["--initial-cluster-state=new", "--logger=zap", "--log-level=error"]);
    for side in ["", "peer-"] {
        command
            .arg(format!("--{side}cert-file={}", file("member.crt")))
            .arg(format!("--{side}key-file={}", file("member.key")))
            .arg(format!("--{side}trusted-ca-file={}", file("ca.crt")))
            .arg(format!("--{side}client-cert-auth=true"));
    }
    command.stderr(File::create(dir.join(format!("m{at}.log")))?);
    Ok(command)
}

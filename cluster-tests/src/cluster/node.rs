//! One process of the cluster, and what can be done to it.

use super::config::Config;
use crate::disk::Disk;
use crate::operator::Operator;
use crate::wait::{self, NotInTime};
use anyhow::{Context as _, Result, bail, ensure};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};

/// A handle to a node; clones are handles to the same node.
///
/// The node keeps its name, addresses and data directory over restarts. Signals take effect on the process that
/// runs at the moment; asking a node that does not run to stop is an error of the test and reported as such.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plan: Plan,
    process: Mutex<Process>,
    id: Mutex<Option<u64>>,
    build: Mutex<Build>,
    // Made once: that takes a moment.
    http: reqwest::Client,
}

/// Everything about a node that is settled before it is started.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) slot: usize,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) http: SocketAddr,
    pub(super) cluster: SocketAddr,
    /// Directory of the configuration, the log and the data of this node.
    pub(super) dir: PathBuf,
    pub(super) config: Config,
    pub(super) binary: PathBuf,
    /// The process group that is killed with the test.
    pub(super) group: i32,
    /// The library to preload, if the disks of this cluster can fail.
    pub(super) disk_faults: Option<PathBuf>,
    /// Variables of its environment.
    pub(super) environment: Vec<(String, String)>,
}

/// What is run: not for the whole life of a node, for it can be upgraded.
#[derive(Debug, Clone)]
struct Build {
    binary: PathBuf,
    config: Config,
}

#[derive(Debug)]
enum Process {
    NotStarted,
    Running(Child),
    Ended(ExitStatus),
}

impl Node {
    pub(super) fn new(plan: Plan) -> Result<Self> {
        fs::create_dir_all(&plan.dir).with_context(|| format!("create {}", plan.dir.display()))?;
        fs::write(plan.dir.join(CONFIG), plan.config.to_toml()).context("write the configuration")?;
        // A connection for each request: one that is kept may be to a process that is gone.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().context("build an HTTP client")?;
        let build = Mutex::new(Build { binary: plan.binary.clone(), config: plan.config.clone() });
        let node = Self(Arc::new(Inner { plan, process: Mutex::new(Process::NotStarted), id: Mutex::new(None), build, http }));
        if node.0.plan.disk_faults.is_some() {
            node.disk().heal()?;
        }
        Ok(node)
    }

    /// The place of this node in the cluster's list, which also names its ends of links.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.0.plan.slot
    }

    /// Its name, for example `eu-ams-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.plan.name
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.0.plan.region
    }

    /// Base of its HTTP URLs, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.0.plan.http)
    }

    /// Where it listens for HTTP.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.0.plan.http
    }

    /// Where it listens for other nodes.
    #[must_use]
    pub fn cluster_addr(&self) -> SocketAddr {
        self.0.plan.cluster
    }

    /// Its id in the cluster.
    ///
    /// # Errors
    /// Before the node was seen as a member.
    pub fn id(&self) -> Result<u64> {
        self.0.id.lock().with_context(|| format!("{} has not joined yet", self.name()))
    }

    pub(super) fn learn_id(&self, id: u64) {
        *self.0.id.lock() = Some(id);
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.0.plan.dir.join("data")
    }

    /// What it wrote to standard output and standard error, over all its lives.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.0.plan.dir.join("node.log")
    }

    /// The faults of its disk, for clusters built with `disk_faults(true)`.
    #[must_use]
    pub fn disk(&self) -> Disk {
        Disk::new(self.0.plan.dir.join("disk-faults"), self.data_dir(), self.0.plan.disk_faults.is_some())
    }

    /// The command line, pointed at this node.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator::new(self.0.build.lock().binary.clone(), self.0.plan.dir.join(CONFIG))
    }

    /// From the next start on this is another build, with another configuration.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn upgrade(&self, binary: &Path, change: impl FnOnce(&mut Config)) -> Result<()> {
        let mut build = self.0.build.lock();
        binary.clone_into(&mut build.binary);
        change(&mut build.config);
        fs::write(self.0.plan.dir.join(CONFIG), build.config.to_toml()).context("write the configuration")
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.look().ok()?;
        match &*self.0.process.lock() {
            Process::Running(child) => child.id(),
            Process::NotStarted | Process::Ended(_) => None,
        }
    }

    /// How the last process ended, or `None` while one runs or before the first.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>> {
        self.look()
    }

    /// Starts the process without waiting for it to be ready.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start(&self) -> Result<()> {
        self.start_with(&[])
    }

    /// Starts the process with more arguments after `ncore server --config F`.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start_with(&self, arguments: &[&str]) -> Result<()> {
        self.look()?;
        let mut process = self.0.process.lock();
        ensure!(!matches!(*process, Process::Running(_)), "{} runs already", self.name());
        let log = self.open_log()?;
        let plan = &self.0.plan;
        let (binary, limits_rates) = {
            let build = self.0.build.lock();
            (build.binary.clone(), build.config.has("rates"))
        };
        let mut command = Command::new(&binary);
        without_our_environment(&mut command);
        if let Some(library) = &plan.disk_faults {
            command.env("LD_PRELOAD", library).env("NCORE_DISK_FAULTS", self.disk().control());
        }
        if !limits_rates {
            // One token does in a minute of a test what a client does in an hour. Builds that know no limits take no notice.
            for limit in ["PER_TOKEN", "PURGES", "ANONYMOUS"] {
                command.env(format!("NCORE_RATES_{limit}"), "0");
            }
        }
        let child = command
            .args(["server", "--config"])
            .arg(plan.dir.join(CONFIG))
            .args(arguments)
            .env("RUST_BACKTRACE", "1")
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&plan.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log file")?)
            .stderr(log)
            .process_group(plan.group)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {} for {}", binary.display(), plan.name))?;
        *process = Process::Running(child);
        Ok(())
    }

    /// Waits until `/readyz` says that the node serves and has a caught-up view.
    ///
    /// # Errors
    /// When the process ends, which is not waited out, or the deadline passes.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        let what = format!("{} to be ready", self.name());
        wait::until(deadline, &what, || async {
            match self.look() {
                Err(error) => Ok(Err(error)),
                Ok(Some(status)) => {
                    Ok(Err(anyhow::anyhow!("{} ended with {status}; its log ends with\n{}", self.name(), self.log_tail(15))))
                }
                Ok(None) => self.probe("/readyz").await.map(Ok),
            }
        })
        .await?
    }

    /// One request to a health endpoint.
    ///
    /// # Errors
    /// When there is no answer within a second, or another status than 200.
    pub async fn probe(&self, path: &str) -> Result<()> {
        let response = self.0.http.get(self.url() + path).timeout(PROBE).send().await.with_context(|| format!("GET {path}"))?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        ensure!(status == 200, "{path} answered {status}: {}", body.trim());
        Ok(())
    }

    /// A figure of its `/metrics`, by its full name, without labels.
    ///
    /// # Errors
    /// When there is no answer within half a minute, or no such figure in it.
    pub async fn figure(&self, name: &str) -> Result<u64> {
        let text = self.0.http.get(self.url() + "/metrics").timeout(FIGURES).send().await.context("GET /metrics")?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.with_context(|| format!("{} has no figure {name}", self.name()))?.trim().parse().with_context(|| format!("read {name}"))
    }

    /// Ends the process as a crash would: SIGKILL, then waits until the kernel has cleaned up.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill_9(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.exited(Duration::from_secs(10)).await?;
        Ok(())
    }

    /// Removes its data, as a new machine in its place would have none. The configuration and the log stay.
    ///
    /// # Errors
    /// When it runs, or the files cannot be removed.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.pid().is_none(), "{} runs", self.name());
        fs::remove_dir_all(self.data_dir()).with_context(|| format!("wipe {}", self.name()))?;
        *self.0.id.lock() = None;
        Ok(())
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// When it does not run, or has not ended after 30 s.
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        Ok(self.exited(Duration::from_secs(30)).await?)
    }

    /// Freezes the process (SIGSTOP): its connections stay, nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Thaws a frozen process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Stops the process if it runs, starts it, and waits until it is ready.
    ///
    /// # Errors
    /// Those of [`Node::stop`], [`Node::start`] and [`Node::ready`].
    pub async fn restart(&self) -> Result<()> {
        if self.pid().is_some() {
            self.stop().await?;
        }
        self.start()?;
        self.ready(READY).await
    }

    /// Waits until the process has ended, by whatever cause.
    ///
    /// # Errors
    /// When it still runs at the deadline.
    pub async fn exited(&self, deadline: Duration) -> Result<ExitStatus, NotInTime> {
        let what = format!("the process of {} to end", self.name());
        wait::until(deadline, &what, || async {
            match self.look() {
                Ok(Some(status)) => Ok(status),
                Ok(None) => Err(String::from("it runs")),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Directory of configuration, log and data.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.plan.dir
    }

    /// Notes whether the process has ended in the meantime.
    fn look(&self) -> Result<Option<ExitStatus>> {
        let mut process = self.0.process.lock();
        if let Process::Running(child) = &mut *process
            && let Some(status) = child.try_wait().with_context(|| format!("look after {}", self.name()))?
        {
            *process = Process::Ended(status);
        }
        match &*process {
            Process::Ended(status) => Ok(Some(*status)),
            Process::NotStarted | Process::Running(_) => Ok(None),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Holding the lock keeps the process unreaped, so that its id is not anybody else's.
        let mut process = self.0.process.lock();
        let Process::Running(child) = &mut *process else {
            bail!("{} does not run", self.name());
        };
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.with_context(|| format!("{} has ended by itself", self.name()))?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?} to {}", self.name()))
    }

    fn open_log(&self) -> Result<File> {
        let path = self.log_path();
        let mut log = OpenOptions::new().create(true).append(true).open(&path).with_context(|| format!("open {}", path.display()))?;
        writeln!(log, "--- started {} ---", jiff::Timestamp::now()).context("write to the log")?;
        Ok(log)
    }
}

/// Takes the harness's own variables out of a command's environment: the product reads its configuration from
/// `NCORE_*`, too.
pub(crate) fn without_our_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NCORE_") {
            command.env_remove(name);
        }
    }
}

/// How long a started node may take to be ready. Dozens of them may start on a machine that has other work, too.
pub(super) const READY: Duration = Duration::from_secs(90);
const PROBE: Duration = Duration::from_secs(1);
/// Figures are asked for once, also of a machine that is busy.
const FIGURES: Duration = Duration::from_secs(30);
const CONFIG: &str = "ncore.toml";

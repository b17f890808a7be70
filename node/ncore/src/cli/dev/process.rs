//! One node of `ncore dev`: a process of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::config::Config;

/// How long a node may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

pub(super) struct NodeProcess {
    pub(super) region: String,
    pub(super) url: String,
    log: PathBuf,
    child: Child,
}

impl NodeProcess {
    pub(super) fn start(file: &Path, config: &Config, join_token: Option<String>) -> Result<Self> {
        let log = file.with_file_name("node.log");
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["server", "--config"]).arg(file);
        // A group of its own, so that Ctrl-C reaches only this process, which then stops the nodes in order.
        command.process_group(0).kill_on_drop(true).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        if let Some(token) = join_token {
            command.env("NCORE_JOIN_TOKEN", token);
        }
        let child = command.spawn().context("cannot start a node")?;
        Ok(Self { region: config.node.region.clone(), url: config.http_address(), log, child })
    }

    pub(super) async fn wait_ready(&mut self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        let ready = format!("{}/readyz", self.url);
        while Instant::now() < end {
            self.check()?;
            if reqwest::get(&ready).await.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            sleep(POLL).await;
        }
        bail!("{} is not ready after {deadline:?}; see {}", self.region, self.log.display());
    }

    /// An error if it has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}: {}\nits log is {}", self.region, self.last_words(), self.log.display());
        }
        Ok(())
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
    }

    pub(super) fn ask_to_stop(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    pub(super) async fn wait_or_kill(&mut self) {
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            eprintln!("{} did not stop in {STOP_DEADLINE:?} and is killed", self.region);
            let _ = self.child.kill().await;
        }
    }
}

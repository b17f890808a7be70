//! The command line of the product, run the way an operator runs it.
//!
//! Every command names the configuration file of a node and speaks to it over the Unix socket in its data
//! directory, so it works only while that node runs (`init` apart).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::cluster::ClusterStatus;

/// The operator of one node.
#[derive(Debug, Clone)]
pub struct Operator {
    binary: PathBuf,
    config: PathBuf,
}

/// What `ncore client add --json` prints.
#[derive(Debug, Clone, Deserialize)]
pub struct Credentials {
    /// Names the client.
    pub client_id: String,
    /// Proves it.
    pub secret: String,
}

impl Operator {
    /// An operator who uses `binary` with the configuration file `config`.
    #[must_use]
    pub const fn new(binary: PathBuf, config: PathBuf) -> Self {
        Self { binary, config }
    }

    /// Runs `ncore <command> --config <file> <arguments>` and returns what it printed on standard output.
    ///
    /// # Errors
    /// [`OperatorError`]; a command that takes more than 30 s is killed.
    pub async fn run(&self, command: &[&str], arguments: &[&str]) -> Result<String, OperatorError> {
        let mut of_this_node = self.command(command);
        of_this_node.arg("--config").arg(&self.config).args(arguments);
        output(of_this_node, "", format!("ncore {} {}", command.join(" "), arguments.join(" "))).await
    }

    /// Like [`Operator::run`], for commands that read a line from standard input, as secrets are given.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn run_with_input(&self, command: &[&str], arguments: &[&str], input: &str) -> Result<String, OperatorError> {
        let mut of_this_node = self.command(command);
        of_this_node.arg("--config").arg(&self.config).args(arguments);
        output(of_this_node, input, format!("ncore {} {}", command.join(" "), arguments.join(" "))).await
    }

    /// Like [`Operator::run`], for commands that print JSON.
    ///
    /// # Errors
    /// [`OperatorError`], also when the output is not the JSON expected.
    pub async fn json<T: DeserializeOwned>(&self, command: &[&str], arguments: &[&str]) -> Result<T, OperatorError> {
        parsed(command, self.run(command, arguments).await?)
    }

    /// Like [`Operator::json`], for commands that are about no node: `ncore <command> <arguments>`.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn json_of_no_node<T: DeserializeOwned>(&self, command: &[&str], arguments: &[&str]) -> Result<T, OperatorError> {
        let mut of_no_node = self.command(command);
        of_no_node.args(arguments);
        parsed(command, output(of_no_node, "", format!("ncore {} {}", command.join(" "), arguments.join(" "))).await?)
    }

    /// Makes the first node of a new cluster.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn init(&self) -> Result<(), OperatorError> {
        self.run(&["init"], &[]).await.map(drop)
    }

    /// A token with which one node joins, as a voter or as an edge.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn join_token(&self, voter: bool) -> Result<String, OperatorError> {
        let role: &[&str] = if voter { &["--voter"] } else { &[] };
        let arguments = [role, &["--uses", "1", "--expires", "1h"]].concat();
        let token = self.run(&["join-token", "create"], &arguments).await?;
        Ok(token.trim().to_owned())
    }

    /// Makes an API client.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn add_client(&self, name: &str) -> Result<Credentials, OperatorError> {
        self.json(&["client", "add"], &["--name", name, "--json"]).await
    }

    /// The cluster as this node sees it.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn status(&self) -> Result<ClusterStatus, OperatorError> {
        self.json(&["cluster", "status"], &["--json"]).await
    }

    /// The cluster with a digest of each node's state.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn status_with_state_hash(&self) -> Result<ClusterStatus, OperatorError> {
        self.json(&["cluster", "status"], &["--json", "--state-hash"]).await
    }

    /// Runs `ncore cluster <verb> <node id>`: `promote`, `demote`, `drain`, `remove`, `transfer-leader`.
    ///
    /// # Errors
    /// [`OperatorError`]
    pub async fn member(&self, verb: &str, node: u64) -> Result<(), OperatorError> {
        self.run(&["cluster", verb], &[&node.to_string()]).await.map(drop)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        crate::cluster::without_our_environment(&mut command);
        command.args(words);
        command
    }
}

/// What a command printed on standard output.
async fn output(mut command: Command, input: &str, shown: String) -> Result<String, OperatorError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may have ended by now: what it said counts, and not that it did not listen.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(DEADLINE, run).await {
        Err(_) => return Err(OperatorError::TooLong { command: shown }),
        Ok(Err(source)) => return Err(OperatorError::NotRun { command: shown, source }),
        Ok(Ok(output)) => output,
    };
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(OperatorError::Failed { command: shown, status: output.status, stderr })
}

fn parsed<T: DeserializeOwned>(command: &[&str], output: String) -> Result<T, OperatorError> {
    serde_json::from_str(&output).map_err(|source| OperatorError::NotJson { command: command.join(" "), output, source })
}

/// A command of the operator did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The program could not be started: a fault of the test environment.
    #[error("`{command}` could not be run")]
    NotRun {
        /// What was run.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It refused or failed. Worth another try while the cluster is under fault.
    #[error("`{command}` ended with {status}: {stderr}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// No end within the deadline; what it did is unknown.
    #[error("`{command}` took longer than {DEADLINE:?}")]
    TooLong {
        /// What was run.
        command: String,
    },
    /// It printed something other than it promises: a fault of the product or of the harness.
    #[error("`{command}` printed {output:?}, which is not the JSON expected")]
    NotJson {
        /// What was run.
        command: String,
        /// What it printed.
        output: String,
        /// Where it differs.
        source: serde_json::Error,
    },
}

const DEADLINE: Duration = Duration::from_secs(30);

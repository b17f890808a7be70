//! The command line: what an operator, and a client, can do from a shell.
#![expect(clippy::print_stderr, reason = "a command line speaks through standard error, too")]

mod administrator;
mod asset;
mod client;
mod cluster;
mod dev;
mod init;
mod join_token;
mod operator;
mod output;
mod placement;
mod server;
mod signing_key;
mod zone;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::ending;

/// A CDN that you run yourself: push assets to any node, fetch them from the nearest.
///
/// Start with `ncore dev`: three regions on this machine, and what to try on them.
#[derive(Parser)]
#[command(name = "ncore", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a cluster of three regions on this machine, to try things out
    Dev(dev::Dev),
    /// Make a new cluster, with this machine as its first node
    Init(init::Init),
    /// Run a node
    Server(server::Server),
    /// Let machines join the cluster
    #[command(subcommand)]
    JoinToken(join_token::JoinToken),
    /// See and change which nodes there are
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// See and change who may use the API
    #[command(subcommand)]
    Client(client::Client),
    /// See and change who manages clients over the API
    #[command(subcommand)]
    Administrator(administrator::Administrator),
    /// See and change the keys that sign access tokens
    #[command(subcommand)]
    SigningKey(signing_key::SigningKey),
    /// See and change which nodes hold the assets of a client
    #[command(subcommand)]
    Placement(placement::Placement),
    /// See, change and purge the zones of clients
    #[command(subcommand)]
    Zone(Box<zone::Zone>),
    /// Put, get and list assets, over the API
    #[command(subcommand)]
    Asset(asset::Asset),
    /// Print the version, and which schema levels this build can apply
    Version,
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Runs the command. An error is printed with its causes, and is the end.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Dev(command) => block_on(command.run()),
        Command::Init(command) => command.run(),
        Command::Server(command) => command.run(),
        Command::JoinToken(command) => block_on(command.run()),
        Command::Cluster(command) => block_on(command.run()),
        Command::Client(command) => block_on(command.run()),
        Command::Administrator(command) => block_on(command.run()),
        Command::SigningKey(command) => block_on(command.run()),
        Command::Placement(command) => block_on(command.run()),
        Command::Zone(command) => block_on(command.run()),
        Command::Asset(command) => block_on(command.run()),
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            output::say!("ncore {version} (schema levels {} to {})", ncore_model::SCHEMA_MIN, ncore_model::SCHEMA_MAX);
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ncore", &mut std::io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ending::end_after(|| eprintln!("error: {error:#}")),
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

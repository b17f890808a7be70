//! A stand-in for `ncore`, to test the tests.
//!
//! It has the command line and the API of the product as far as the properties use them, and keeps the promises in the
//! cheapest way there is: all nodes share one file on this machine (`truth.rs`) and ask each other over the links only
//! whether they can be reached, and for blobs (`wire.rs`). It is no part of the product and no model of it.
//!
//! `STAND_IN_FAULT` names one way in which it breaks a promise ([`Fault`]). A property that does not fail then is worth
//! nothing; `check-the-tests` tries them all.

mod blobs;
mod config;
mod http;
mod operator;
mod truth;
mod wire;

use anyhow::{Context as _, Result, bail};
use blobs::Blobs;
use config::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use truth::Truth;

/// One node.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) config: Config,
    pub(crate) blobs: Blobs,
}

/// A promise broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Some uploads are acknowledged and thrown away.
    LostWrites,
    /// A repeated key is executed again.
    NoDedupe,
    /// What is on the disk is served unread.
    WrongBytes,
    /// Writes are taken without a majority.
    NoQuorum,
    /// Lists may be from a little while ago.
    StaleReads,
    /// Refusals tell of more than the revision that they carry.
    OldRevisions,
    /// A failed fsync is ignored.
    IgnoredFsync,
    /// A full disk is "internal server error".
    VagueErrors,
    /// A removed node is let in again.
    Readmission,
    /// A node that starts forgets the latest asset.
    Forgetful,
    /// The nodes' states differ.
    Divergence,
}

impl Fault {
    /// Whether this fault is planted.
    pub(crate) fn is_on(self) -> bool {
        std::env::var("STAND_IN_FAULT").is_ok_and(|name| name == format!("{self:?}"))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let config = Config::read(&value("--config").context("--config is missing")?)?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).take_while(|word| !word.starts_with("--")).collect();
    match words.as_slice() {
        ["init"] => found(&config),
        ["server"] => serve(config, value("--join-token")).await,
        words => operator::run(&config, words, &arguments).await,
    }
}

/// Makes the cluster with this node as its first member.
fn found(config: &Config) -> Result<()> {
    let id = truth::update(config, |truth| truth.add_member(config, true))?;
    config.remember_id(id)
}

async fn serve(config: Config, join_token: Option<String>) -> Result<()> {
    let id = match config.id() {
        Some(id) => id,
        None => join(&config, &join_token.context("not a member, and no token")?)?,
    };
    if Fault::Forgetful.is_on() {
        truth::update(&config, Truth::forget_latest)?;
    }
    let node = Arc::new(Node { id, blobs: Blobs::open(&config.data_dir)?, config });
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        served = http::serve(Arc::clone(&node)) => served,
        served = wire::serve(Arc::clone(&node)) => served,
        () = keep_up(Arc::clone(&node)) => Ok(()),
        _ = term.recv() => Ok(()),
    }
}

fn join(config: &Config, token: &str) -> Result<u64> {
    let id = truth::update(config, |truth| {
        let voter = truth.join_tokens.remove(token)?;
        Some(truth.add_member(config, voter))
    })?;
    let Some(id) = id else { bail!("the token is not valid") };
    config.remember_id(id)?;
    Ok(id)
}

/// Takes the lead from a leader that is gone, and fetches what this node does not hold.
async fn keep_up(node: Arc<Node>) {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Ok(truth) = truth::read(&node.config) else { continue };
        if !truth.is_member(node.id) {
            continue;
        }
        let reached = wire::reachable(&node, &truth).await;
        if truth.is_majority(&reached) && !reached.contains(&truth.leader) && truth.votes(node.id) {
            // On failure, the next round.
            drop(truth::update(&node.config, |truth| truth.leader = node.id));
        }
        for asset in truth.assets.values().filter(|asset| !node.blobs.holds(&asset.sha256)) {
            drop(wire::fetch(&node, &truth, &asset.sha256).await);
        }
    }
}

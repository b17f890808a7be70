//! `ncore cluster recover`: a cluster of one, from what a survivor has.

use std::{
    io::{IsTerminal, Write, stderr, stdin},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use ncore_control::rebuild::{Recovered, TailChoice};
use serde_json::{Value, json};

use super::super::output;
use crate::{
    config::{self, Overrides},
    node::Prepared,
};

#[derive(Args)]
pub(crate) struct Recover {
    /// The configuration of the node
    #[arg(long, env = "NCORE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Also apply what this node does not know to be committed. Nothing that it has is lost then, but what was refused or never
    /// agreed on may come true
    #[arg(long)]
    include_tail: bool,
    /// The number of the new lineage, if a cluster made from the same state had the next one already
    #[arg(long, value_name = "NUMBER")]
    lineage: Option<u32>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Recover {
    pub(crate) fn run(self) -> Result<()> {
        if !self.yes && !stdin().is_terminal() {
            bail!("this cannot be undone by a later start: give --yes, or a terminal to ask on");
        }
        let config = config::load(&self.config, &Overrides::of_process(&[]))?;
        let tail = if self.include_tail { TailChoice::Include } else { TailChoice::Drop };
        let prepared = Prepared::build(&config, tail, self.lineage)?;
        let recovered = prepared.recovered.clone();
        let name = format!("{} (id {})", config.node.name, prepared.identity.node_id());
        if !self.json {
            print(&name, &prepared.identity.cluster_id().to_string(), &recovered);
        }
        if !self.yes && !confirmed(&name)? {
            prepared.discard()?;
            bail!("nothing was changed");
        }
        let cluster = prepared.identity.cluster_id().to_string();
        let kept = prepared.take_over()?;
        if self.json {
            let mut document = as_json(&cluster, &recovered);
            document["kept"] = json!(kept);
            return output::json(&document);
        }
        output::say!(
            "{name} is a cluster of its own now. Its old log and state are kept in {}: remove them when all is well.",
            kept.display()
        );
        output::say!("start it: ncore server --config {}", self.config.display());
        Ok(())
    }
}

fn confirmed(name: &str) -> Result<bool> {
    let mut terminal = stderr();
    write!(terminal, "Are all other nodes stopped for good, and is {name} to be the cluster? Type yes: ")?;
    terminal.flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(answer.trim() == "yes")
}

fn print(name: &str, cluster: &str, recovered: &Recovered) {
    let Recovered { rebuilt, replayed, tail } = recovered;
    output::say!("cluster {cluster}, from what {name} has:");
    output::say!("  kept       up to revision {}, {} by the time of the log", rebuilt.base, time(rebuilt.log_time_ms));
    output::say!("  replayed   {replayed} committed entries that the state lacked");
    let commands: Vec<_> = tail.commands.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let commands = if commands.is_empty() { "no commands among them".to_owned() } else { commands.join(", ") };
    output::say!("  {:<10} {} entries that are not known to be committed: {commands}", tail.choice.as_str(), tail.entries);
    output::say!("  content    {} assets whose content this node has not reported to hold", rebuilt.unverified);
    output::say!("  lineage    {}, from index {}", rebuilt.begun.lineage.number, rebuilt.index);
    for node in &rebuilt.begun.removed {
        output::say!("  cut off    {} (id {}, {}): wipe it and let it join anew", node.name, node.id, node.cluster_address);
    }
    output::say!("What may be lost: whatever the cluster acknowledged after revision {}.", rebuilt.base);
    match tail.choice {
        TailChoice::Drop if tail.entries > 0 => {
            output::say!("Some of the {} entries may have been acknowledged too; --include-tail keeps them.", tail.entries);
        }
        TailChoice::Include if tail.entries > 0 => {
            output::say!(
                "What may come true: changes among the {} entries that were never agreed on, or reported as not done.",
                tail.entries
            );
        }
        TailChoice::Drop | TailChoice::Include => {}
    }
}

fn as_json(cluster: &str, recovered: &Recovered) -> Value {
    let Recovered { rebuilt, replayed, tail } = recovered;
    let removed = |node: &ncore_model::Node| json!({ "id": node.id.0, "name": node.name, "region": node.region, "cluster_address": node.cluster_address });
    json!({
        "cluster_id": cluster,
        "node": rebuilt.begun.lineage.node.0,
        "base": rebuilt.base.to_string(),
        "log_time": time(rebuilt.log_time_ms),
        "replayed": replayed,
        "tail": { "choice": tail.choice.as_str(), "entries": tail.entries, "commands": tail.commands },
        "unverified": rebuilt.unverified,
        "lineage": rebuilt.begun.lineage.number,
        "index": rebuilt.index,
        "removed": rebuilt.begun.removed.iter().map(removed).collect::<Vec<_>>(),
    })
}

/// A time of the log, for people and programs.
pub(super) fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

//! The operator's commands, done on the shared file.

use crate::Fault;
use crate::config::Config;
use crate::truth::{self, Truth};
use crate::wire;
use anyhow::{Context as _, Result, bail};
use cluster_tests::client::sha256;
use serde_json::json;

#[expect(clippy::print_stdout, reason = "a command line")]
pub(crate) async fn run(config: &Config, words: &[&str], arguments: &[String]) -> Result<()> {
    match words {
        ["join-token", "create"] => {
            let voter = arguments.iter().any(|argument| argument == "--voter");
            let token = truth::update(config, |truth| {
                let token = format!("join-{}", truth.index);
                truth.join_tokens.insert(token.clone(), voter);
                token
            })?;
            println!("{token}");
        }
        ["client", "add"] => {
            let id = truth::update(config, |truth| {
                let id = format!("client-{}", truth.index);
                truth.clients.insert(id.clone(), "secret".into());
                id
            })?;
            println!("{}", json!({"client_id": id, "secret": "secret"}));
        }
        ["cluster", "status"] => println!("{}", status(config).await?),
        ["cluster", verb] => {
            let node = arguments.last().context("which node?")?.parse()?;
            truth::update(config, |truth| change(truth, verb, node))??;
        }
        words => bail!("what is {words:?}?"),
    }
    Ok(())
}

fn change(truth: &mut Truth, verb: &str, node: u64) -> Result<()> {
    let member = truth.members.get_mut(&node).context("no such node")?;
    match verb {
        "promote" => member.voter = true,
        "remove" => member.removed = !Fault::Readmission.is_on(),
        "drain" => {}
        "transfer-leader" => truth.leader = node,
        verb => bail!("what is {verb}?"),
    }
    Ok(())
}

async fn status(config: &Config) -> Result<serde_json::Value> {
    let truth = truth::read(config)?;
    let own = config.id().context("not a member")?;
    let reached = wire::reachable_from(config, Some(own), &truth).await;
    let leader = Some(truth.leader).filter(|leader| reached.contains(leader) && truth.is_majority(&reached));
    let hash = sha256(&serde_json::to_vec(&truth)?);
    let nodes = truth.members.iter().filter(|(id, _)| truth.is_member(**id)).map(|(id, member)| {
        let hash = if Fault::Divergence.is_on() && *id == own { format!("{hash}-") } else { hash.clone() };
        let hash = reached.contains(id).then_some(hash);
        let role = if member.voter { "voter" } else { "edge" };
        json!({"id": id, "name": member.name, "region": member.region, "role": role, "applied": truth.index, "state_hash": hash})
    });
    Ok(json!({"leader": leader, "nodes": nodes.collect::<Vec<_>>()}))
}

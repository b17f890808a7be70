//! `ncore placement`: where assets are held.

use anyhow::Result;
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{ListPlacementsRequest, RemovePlacementRequest, SetPlacementRequest};
use serde_json::json;

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum Placement {
    /// Say which nodes hold assets of a client; without a rule, every node does
    Set(Set),
    /// List the rules, and whether there are nodes for them
    List {
        #[command(flatten)]
        operator: Operator,
    },
    /// Take a rule back
    Remove(Remove),
}

#[derive(Args)]
pub(crate) struct Set {
    /// Whose assets, by the client's id
    client_id: String,
    /// Those whose paths begin with this; all of them if it is not given. Of several rules the longest counts
    #[arg(long, default_value = "")]
    prefix: String,
    /// A region whose nodes hold them; any, if none is given
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
    /// How many nodes hold them; every node of the regions, if it is not given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    copies: Option<u32>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Whose assets, by the client's id
    client_id: String,
    /// The prefix of the rule
    #[arg(long, default_value = "")]
    prefix: String,
    #[command(flatten)]
    operator: Operator,
}

impl Placement {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Set(set) => set.run().await,
            Self::List { operator } => list(&operator).await,
            Self::Remove(remove) => remove.run().await,
        }
    }
}

impl Set {
    async fn run(self) -> Result<()> {
        let Self { client_id, prefix, regions, copies, operator } = self;
        let request = SetPlacementRequest {
            client_id: client_id.clone(),
            prefix: prefix.clone(),
            regions: regions.clone(),
            copies: copies.unwrap_or(0),
        };
        operator.connect().await?.set_placement(request).await.map_err(said)?;
        if operator.json {
            return output::json(&json!({ "client_id": client_id, "prefix": prefix, "regions": regions, "copies": copies }));
        }
        output::say!("{client_id} {prefix}*: {} of {}", copies_of(copies.unwrap_or(0)), regions_of(&regions));
        Ok(())
    }
}

impl Remove {
    async fn run(self) -> Result<()> {
        let Self { client_id, prefix, operator } = self;
        let request = RemovePlacementRequest { client_id: client_id.clone(), prefix: prefix.clone() };
        operator.connect().await?.remove_placement(request).await.map_err(said)?;
        if operator.json {
            return output::json(&json!({ "client_id": client_id, "prefix": prefix, "removed": true }));
        }
        output::say!("{client_id} {prefix}*: the rule is removed");
        Ok(())
    }
}

async fn list(operator: &Operator) -> Result<()> {
    let rules = operator.connect().await?.list_placements(ListPlacementsRequest {}).await.map_err(said)?.into_inner().placements;
    if operator.json {
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| {
                json!({
                    "client_id": rule.client_id, "prefix": rule.prefix, "regions": rule.regions,
                    "copies": (rule.copies > 0).then_some(rule.copies), "fit": rule.fit,
                })
            })
            .collect();
        return output::json(&rules);
    }
    let rows = rules
        .into_iter()
        .map(|rule| vec![rule.client_id, format!("{}*", rule.prefix), regions_of(&rule.regions), copies_of(rule.copies), rule.fit]);
    output::table(&["CLIENT ID", "PATHS", "REGIONS", "COPIES", "FIT"], rows);
    Ok(())
}

fn regions_of(regions: &[String]) -> String {
    if regions.is_empty() { "any region".to_owned() } else { regions.join(" ") }
}

fn copies_of(copies: u32) -> String {
    match copies {
        0 => "every node".to_owned(),
        1 => "1 node".to_owned(),
        copies => format!("{copies} nodes"),
    }
}

//! What `ncore cluster status --json` says, as far as tests need it. Fields that are not known here are ignored.

use serde::{Deserialize, Deserializer};

/// The cluster as one node sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct ClusterStatus {
    /// The id of the leader, if this node knows one.
    #[serde(default, alias = "leader_id", deserialize_with = "id")]
    pub leader: Option<u64>,
    /// The schema level of the state.
    #[serde(default)]
    pub schema_level: u32,
    /// What the leader does about the voters, or why it does nothing; empty if it did not say. Builds that do not look after the voters
    /// have no such field.
    #[serde(default)]
    pub autopilot: Option<String>,
    /// All members.
    #[serde(alias = "members")]
    pub nodes: Vec<NodeStatus>,
}

/// One member as seen by the node that was asked.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeStatus {
    /// Its id, which is never given to another node.
    #[serde(alias = "node_id", alias = "node")]
    pub id: u64,
    /// Its name from the configuration file.
    #[serde(default)]
    pub name: String,
    /// What it is at the moment: `leader`, `follower`, `edge` and the like.
    #[serde(default)]
    pub role: String,
    /// The highest schema level that it says it can apply.
    #[serde(default)]
    pub schema_max: u32,
    /// Whether it votes, where that is not told by its role.
    #[serde(default)]
    pub voter: Option<bool>,
    /// The hub that it follows, if it follows one.
    #[serde(default)]
    pub parent: Option<u64>,
    /// Hops between it and the log; 0 for nodes that have it.
    #[serde(default)]
    pub depth: u32,
    /// Whether it may act on its view: `fresh` or `fenced`.
    #[serde(default)]
    pub freshness: Option<String>,
    /// Index of the last log entry that it applied, if known.
    #[serde(default, alias = "applied_index", alias = "last_applied", deserialize_with = "index")]
    pub applied: Option<u64>,
    /// Digest of its state; only with `--state-hash`, and only of nodes in reach.
    #[serde(default)]
    pub state_hash: Option<String>,
    /// The entry up to which `state_hash` tells the state, if that is not `applied`.
    #[serde(default, deserialize_with = "index")]
    pub state_hash_index: Option<u64>,
}

impl ClusterStatus {
    /// The member with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// How many members vote.
    #[must_use]
    pub fn voters(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_voter()).count()
    }

    /// Whether the schema level is the highest that every node can apply: it rises by itself, step by step.
    #[must_use]
    pub fn has_risen(&self) -> bool {
        self.nodes.iter().map(|node| node.schema_max).min().is_none_or(|most| self.schema_level >= most)
    }

    /// Whether the leader has nothing to do about the voters. While one set of voters takes over from another, the members of both vote,
    /// and a majority of each must agree: until that is over the loss of one may be the loss of the cluster.
    #[must_use]
    pub fn has_settled_voters(&self) -> bool {
        self.autopilot.as_deref().is_none_or(|words| ["the voters are as wanted", "switched off"].contains(&words))
    }
}

impl NodeStatus {
    /// Whether this member votes.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        self.voter.unwrap_or(matches!(self.role.as_str(), "voter" | "leader" | "follower" | "candidate"))
    }

    /// The state of this member: up to which entry, and its digest. `None` if it was not asked for or not in reach.
    #[must_use]
    pub fn state(&self) -> Option<(u64, &str)> {
        let hash = self.state_hash.as_deref().filter(|hash| !hash.is_empty())?;
        Some((self.state_hash_index.or(self.applied)?, hash))
    }
}

/// A node id, bare or within an object; 0 is nobody.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Bare(u64),
        Within { id: u64 },
    }
    let id = Option::deserialize(deserializer)?.map(|id| match id {
        Id::Bare(id) | Id::Within { id } => id,
    });
    Ok(id.filter(|id| *id != 0))
}

/// A log index, bare, within an object, or as the second half of a revision (`0.42`).
fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Index {
        Bare(u64),
        Revision(String),
        Within { index: u64 },
    }
    Ok(Option::deserialize(deserializer)?.and_then(|index| match index {
        Index::Bare(index) | Index::Within { index } => Some(index),
        Index::Revision(text) => text.rsplit('.').next()?.parse().ok(),
    }))
}

#[cfg(test)]
mod tests {
    use super::ClusterStatus;

    fn parse(text: &str) -> ClusterStatus {
        serde_json::from_str(text).expect("a status")
    }

    #[test]
    fn ignores_what_it_does_not_know() {
        let status = parse(
            r#"{"leader": 3, "term": 9, "nodes": [
                {"id": 3, "name": "a", "role": "leader", "voter": true, "applied": 18, "region": "eu",
                 "state_hash": "ab", "state_hash_index": 17},
                {"id": 8, "name": "b", "role": "edge", "state_hash": null, "state_hash_index": 0}]}"#,
        );
        assert_eq!(status.leader, Some(3));
        assert_eq!(status.voters(), 1);
        assert!(status.has_settled_voters());
        let a = status.node("a").expect("a");
        assert_eq!((a.applied, a.state()), (Some(18), Some((17, "ab"))));
        let b = status.node("b").expect("b");
        assert_eq!((b.applied, b.state(), b.is_voter()), (None, None, false));
    }

    #[test]
    fn tells_a_change_of_the_voters() {
        let status = |words: &str| parse(&format!(r#"{{"leader": 1, "autopilot": "{words}", "nodes": []}}"#));
        assert!(status("the voters are as wanted").has_settled_voters());
        for words in ["", "gives node 7 a vote", "waits for a change that is under way"] {
            assert!(!status(words).has_settled_voters(), "{words}");
        }
    }

    #[test]
    fn accepts_revisions_and_objects() {
        let status = parse(
            r#"{"leader": {"id": 1, "name": "a"}, "members": [
                {"node_id": 1, "role": "voter", "applied": "2.42"},
                {"node_id": 2, "role": "voter", "applied": {"lineage": 2, "index": 41}}]}"#,
        );
        assert_eq!(status.leader, Some(1));
        assert_eq!(status.nodes[0].applied, Some(42));
        assert_eq!(status.nodes[1].applied, Some(41));
        assert_eq!(parse(r#"{"leader": null, "nodes": []}"#).leader, None);
        assert_eq!(parse(r#"{"leader": 0, "nodes": []}"#).leader, None);
    }
}

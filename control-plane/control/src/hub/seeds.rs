//! The hubs that a machine was told of when it joined, kept until its own state knows better.
//!
//! One line for each: id and address. A node whose state is still empty has nobody else to ask.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use ncore_model::{NodeId, weight};

use super::parents::Candidate;

/// The file, in the node's data directory.
const FILE: &str = "first-hubs";

/// Nodes that have the log, as of when this machine joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstHubs(Vec<(NodeId, String)>);

impl FirstHubs {
    /// These nodes, by id and `host:port`.
    #[must_use]
    pub fn new(nodes: Vec<(NodeId, String)>) -> Self {
        Self(nodes)
    }

    /// Keeps them in `dir`, durably.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        let draft = dir.join(format!("{FILE}.tmp"));
        let mut file = File::create(&draft)?;
        for (node, address) in &self.0 {
            writeln!(file, "{node} {address}")?;
        }
        file.sync_all()?;
        fs::rename(&draft, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    }

    /// Those kept in `dir`; none if nothing was ever kept there. A line that is not one of ours is skipped.
    ///
    /// # Errors
    /// What the system says.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(dir.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let line = |line: &str| {
            let (node, address) = line.split_once(' ')?;
            Some((NodeId(node.parse().ok()?), address.to_owned()))
        };
        Ok(Self(text.lines().filter_map(line).collect()))
    }

    /// As candidates for the child `own`, in an order of its own.
    pub(crate) fn candidates(&self, own: NodeId) -> Vec<Candidate> {
        let mut nodes: Vec<_> = self.0.iter().filter(|(node, _)| *node != own).collect();
        nodes.sort_by_key(|(node, _)| std::cmp::Reverse(weight(own, *node)));
        nodes.into_iter().map(|(node, address)| Candidate { node: *node, address: address.clone(), voter: true }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{FirstHubs, NodeId};

    #[test]
    fn they_come_back() {
        let dir = tempfile::TempDir::new().expect("a directory");
        assert_eq!(FirstHubs::load(dir.path()).expect("reads"), FirstHubs::default());
        let hubs = FirstHubs::new(vec![(NodeId(1), "a.example:7400".into()), (NodeId(9), "[::1]:7400".into())]);
        hubs.save(dir.path()).expect("is kept");
        assert_eq!(FirstHubs::load(dir.path()).expect("reads"), hubs);
        assert_eq!(hubs.candidates(NodeId(9)).len(), 1);
    }
}

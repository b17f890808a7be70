//! Who holds what, as one view has it: the members and what each of them reports.

use ncore_model::{Asset, Blob, CopyState, Node, NodeReport, Query, ReadTables, TableError, copy_state};

/// The members of the cluster, each with its last report.
pub(crate) struct Holdings {
    pub(crate) members: Vec<(Node, Option<NodeReport>)>,
}

impl Holdings {
    pub(crate) fn read(view: &impl ReadTables) -> Result<Self, TableError> {
        let members = view.members()?.into_iter().map(|node| {
            let report = view.report(node.id)?;
            Ok((node, report))
        });
        Ok(Self { members: members.collect::<Result<_, TableError>>()? })
    }

    /// Whether every member holds this version, verified. Nothing else makes an asset `replicated`.
    pub(crate) fn replicated(&self, version: u64) -> bool {
        !self.members.is_empty() && self.members.iter().all(|(_, report)| copy_state(report.as_ref(), version) == CopyState::Verified)
    }

    /// How many members are known to hold the asset: those that report it verified, and those on which it was made durable
    /// before it was committed and that have not reported it lost since.
    pub(crate) fn copies(&self, asset: &Asset, blob: Option<&Blob>) -> usize {
        let holders = blob.map_or(&[][..], |blob| &blob.holders);
        let holds = |(node, report): &&(Node, Option<NodeReport>)| match copy_state(report.as_ref(), asset.version) {
            CopyState::Verified => true,
            CopyState::Pending => holders.contains(&node.id),
            CopyState::Missing | CopyState::Corrupt => false,
        };
        self.members.iter().filter(holds).count()
    }
}

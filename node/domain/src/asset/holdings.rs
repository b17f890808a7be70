//! Who must hold what and who does, as one view has it: the members, the placements, and what each member reports.

use ncore_model::{Asset, Blob, CopyState, Node, NodeReport, Placed, Placements, Query, ReadTables, TableError, copy_state};

/// The members of the cluster, each with its last report.
pub(crate) struct Holdings {
    pub(crate) members: Vec<(Node, Option<NodeReport>)>,
    placements: Placements,
}

impl Holdings {
    pub(crate) fn read(view: &impl ReadTables) -> Result<Self, TableError> {
        let members = view.members()?.into_iter().map(|node| {
            let report = view.report(node.id)?;
            Ok((node, report))
        });
        Ok(Self { members: members.collect::<Result<_, TableError>>()?, placements: Placements::read(view)? })
    }

    /// Which members must hold an asset. `view` must be that of [`Holdings::read`].
    pub(crate) fn placed(&mut self, view: &impl ReadTables, asset: &Asset) -> Result<Placed, TableError> {
        self.placements.of(view, asset)
    }

    /// Whether every member that must hold this version does, verified. Nothing else makes an asset `replicated`.
    pub(crate) fn replicated(&self, placed: &Placed, version: u64) -> bool {
        let mut holders = self.members.iter().filter(|(node, _)| placed.is_on(node.id)).peekable();
        holders.peek().is_some() && holders.all(|(_, report)| placed.state(report.as_ref(), version) == CopyState::Verified)
    }

    /// How many members are known to hold the asset: those that must and report it verified, and those on which it was made durable
    /// before it was committed and that have not reported since.
    pub(crate) fn copies(&self, placed: &Placed, asset: &Asset, blob: Option<&Blob>) -> usize {
        let holders = blob.map_or(&[][..], |blob| &blob.holders);
        let holds = |(node, report): &&(Node, Option<NodeReport>)| {
            let is_verified = placed.is_on(node.id) && placed.state(report.as_ref(), asset.version) == CopyState::Verified;
            is_verified || (copy_state(report.as_ref(), asset.version) == CopyState::Pending && holders.contains(&node.id))
        };
        self.members.iter().filter(holds).count()
    }
}

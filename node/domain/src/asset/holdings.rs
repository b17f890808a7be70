//! Who must hold what and who does, as one view has it: the members, the placements, and what each member reports.

use ncore_model::{Asset, CopyState, Node, NodeReport, Placed, Placements, Query, ReadTables, TableError, copy_state};

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
    /// before it was committed and that have not reported since. Only for the latter the row of its blob is read, which for a page of
    /// assets lies at as many places: most of what a page would take.
    pub(crate) fn copies(&self, view: &impl ReadTables, placed: &Placed, asset: &Asset) -> Result<usize, TableError> {
        let (mut copies, mut unreported) = (0, Vec::new());
        for (node, report) in &self.members {
            if placed.is_on(node.id) && placed.state(report.as_ref(), asset.version) == CopyState::Verified {
                copies += 1;
            } else if copy_state(report.as_ref(), asset.version) == CopyState::Pending {
                unreported.push(node.id);
            }
        }
        if !unreported.is_empty() {
            let holders = view.blob(asset.blob)?.map(|blob| blob.holders).unwrap_or_default();
            copies += unreported.iter().filter(|node| holders.contains(node)).count();
        }
        Ok(copies)
    }
}

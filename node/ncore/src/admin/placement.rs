//! Where assets are held, over gRPC.

use ncore_domain::{ChangeError, Domain, RuleStatus};
use ncore_model::{ClientId, PlacementPolicy, Rejection};
use ncore_proto::admin::v1 as wire;
use tonic::Status;

use super::rejected;

pub(super) async fn set(domain: &Domain, request: wire::SetPlacementRequest) -> Result<wire::Done, Status> {
    let wire::SetPlacementRequest { client_id, prefix, regions, copies } = request;
    let policy = PlacementPolicy { regions, copies: (copies > 0).then_some(copies) };
    domain.placement().set(ClientId::from_text(&client_id), &prefix, policy).await.map_err(refused)?;
    Ok(wire::Done {})
}

pub(super) async fn remove(domain: &Domain, request: wire::RemovePlacementRequest) -> Result<wire::Done, Status> {
    let wire::RemovePlacementRequest { client_id, prefix } = request;
    domain.placement().remove(ClientId::from_text(&client_id), &prefix).await.map_err(refused)?;
    Ok(wire::Done {})
}

pub(super) async fn list(domain: &Domain) -> Result<wire::ListPlacementsReply, Status> {
    let rules = domain.placement().list().await.map_err(super::internal)?.value;
    let placements = rules.into_iter().map(|RuleStatus { client, prefix, policy, fit }| wire::Placement {
        client_id: client.to_string(),
        prefix,
        regions: policy.regions,
        copies: policy.copies.unwrap_or(0),
        fit: fit.as_str().to_owned(),
    });
    Ok(wire::ListPlacementsReply { placements: placements.collect() })
}

fn refused(error: ChangeError) -> Status {
    match error {
        ChangeError::Rejected { rejection: rejection @ Rejection::PlacementUnknown, .. } => Status::not_found(rejection.to_string()),
        ChangeError::Rejected { rejection, .. } => rejected(&rejection),
        ChangeError::Unknown { .. } => Status::deadline_exceeded(format!("{error}; look at the list before you try again")),
        error => Status::unavailable(error.to_string()),
    }
}

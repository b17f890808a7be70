//! Administrators, as operators make them.

use ncore_domain::{AdministratorError, Domain};
use ncore_identity::ExposeSecret;
use ncore_proto::admin::v1 as wire;
use tonic::Status;

use super::{internal, not_changed};

pub(super) async fn add(domain: &Domain, request: wire::AddAdministratorRequest) -> Result<wire::AddAdministratorReply, Status> {
    let wire::AddAdministratorRequest { name, expires_in_s } = request;
    let lifetime_ms = (expires_in_s > 0).then(|| expires_in_s.saturating_mul(1_000));
    let (id, token) = domain.administrators().add(name, lifetime_ms).await.map_err(|error| match error {
        AdministratorError::Change(error) => not_changed(&error),
        error => internal(error),
    })?;
    Ok(wire::AddAdministratorReply { id: id.to_string(), token: token.expose_secret().to_owned() })
}

pub(super) async fn list(domain: &Domain) -> Result<wire::ListAdministratorsReply, Status> {
    let administrators = domain.administrators().list().await.map_err(internal)?;
    let administrators = administrators.into_iter().map(|one| wire::Administrator {
        id: one.id.to_string(),
        name: one.name,
        created_at_s: one.created_at_ms / 1_000,
        expires_at_s: one.expires_at_ms.unwrap_or(0) / 1_000,
    });
    Ok(wire::ListAdministratorsReply { administrators: administrators.collect() })
}

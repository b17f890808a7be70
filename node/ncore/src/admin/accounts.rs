//! Clients and their accounts, as operators see and change them.

use ncore_domain::{AckLevel, AddClientError, ClientDetails, Domain, Registration};
use ncore_identity::ExposeSecret;
use ncore_model::{Client, ClientId, ClientStatus, IpRange, Plan, Scope, UpdateClient};
use ncore_proto::admin::v1 as wire;
use tonic::Status;

use super::{internal, not_changed, one_line, reached, unknown_scope};

pub(super) async fn add(domain: &Domain, request: wire::AddClientRequest) -> Result<wire::AddClientReply, Status> {
    let wire::AddClientRequest { name, scopes, domains, plan, ip_ranges, status, since_s } = request;
    let bare = Registration::named(name);
    let registration = Registration {
        scopes: if scopes.is_empty() { bare.scopes } else { parsed_scopes(&scopes)? },
        domains,
        status: if status.is_empty() { bare.status } else { parsed_status(&status)? },
        plan: plan.map(plan_of).unwrap_or_default(),
        ip_ranges: parsed_ranges(&ip_ranges)?,
        since_ms: (since_s > 0).then(|| since_s.saturating_mul(1_000)),
        name: bare.name,
    };
    let (_, added) = domain.clients().register(registration, None).await.map_err(not_added)?;
    let added = added.ok_or_else(|| Status::internal("the secret is lost"))?;
    Ok(wire::AddClientReply {
        client_id: added.id.to_string(),
        secret: added.secret.expose_secret().to_owned(),
        refresh_token: added.refresh_token.map(|token| token.expose_secret().to_owned()).unwrap_or_default(),
    })
}

pub(super) async fn update(domain: &Domain, request: wire::UpdateClientRequest) -> Result<wire::AckReply, Status> {
    let wire::UpdateClientRequest { client_id, name, scopes, domains, ip_ranges, plan } = request;
    let update = UpdateClient {
        client: ClientId::from_text(&client_id),
        name,
        scopes: scopes.map(|scopes| parsed_scopes(&scopes.values)).transpose()?,
        domains: domains.map(|domains| domains.values),
        status: None,
        plan: plan.map(plan_of),
        ip_ranges: ip_ranges.map(|ranges| parsed_ranges(&ranges.values)).transpose()?,
    };
    let updated = domain.clients().update(update, None, AckLevel::All).await;
    updated.map(|(_, acknowledged)| reached(&acknowledged)).map_err(|error| not_changed(&error))
}

pub(super) async fn rotate_secret(domain: &Domain, client_id: &str) -> Result<wire::RotateSecretReply, Status> {
    let client = client(domain, client_id).await?;
    let made = domain.clients().rotate_secret(&client, None, AckLevel::All).await.map_err(not_added)?;
    let (secret, refresh_token) = made.shown.ok_or_else(|| Status::internal("another secret was set meanwhile"))?;
    Ok(wire::RotateSecretReply {
        secret: secret.expose_secret().to_owned(),
        refresh_token: refresh_token.expose_secret().to_owned(),
        level: made.acknowledged.as_str().to_owned(),
    })
}

pub(super) async fn add_refresh_token(domain: &Domain, client_id: &str) -> Result<wire::AddRefreshTokenReply, Status> {
    let client = client(domain, client_id).await?;
    let (token, _) = domain.tokens().add_refresh_token(&client, None).await.map_err(not_added)?;
    let token = token.ok_or_else(|| Status::internal("the token is lost"))?;
    Ok(wire::AddRefreshTokenReply { refresh_token: token.expose_secret().to_owned() })
}

pub(super) async fn list(domain: &Domain) -> Result<wire::ListClientsReply, Status> {
    let clients = domain.clients().list_details(None, usize::MAX).await.map_err(internal)?.value;
    Ok(wire::ListClientsReply { clients: clients.into_iter().map(shown).collect() })
}

fn shown(details: ClientDetails) -> wire::Client {
    let ClientDetails { client, account, stored } = details;
    let since_ms = account.as_ref().map_or(client.created_at_ms, |account| account.since_ms);
    let account = account.unwrap_or_default();
    let Plan { name, storage_bytes, bandwidth_bytes, zones } = account.plan;
    wire::Client {
        client_id: client.id.to_string(),
        name: client.name,
        status: client.status.as_str().to_owned(),
        scopes: client.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        domains: client.domains,
        created_at_s: client.created_at_ms / 1_000,
        plan: Some(wire::Plan { name, storage_bytes, bandwidth_bytes, zones }),
        ip_ranges: account.ip_ranges.iter().map(ToString::to_string).collect(),
        since_s: since_ms / 1_000,
        used_bytes: stored.map(|stored| stored.bytes),
        assets: stored.map(|stored| stored.assets),
    }
}

async fn client(domain: &Domain, id: &str) -> Result<Client, Status> {
    let seen = domain.clients().details(ClientId::from_text(id)).await.map_err(internal)?;
    seen.value.map(|details| details.client).ok_or_else(|| Status::not_found("no such client"))
}

fn plan_of(plan: wire::Plan) -> Plan {
    let wire::Plan { name, storage_bytes, bandwidth_bytes, zones } = plan;
    Plan { name, storage_bytes, bandwidth_bytes, zones }
}

fn parsed_scopes(scopes: &[String]) -> Result<Vec<Scope>, Status> {
    scopes.iter().map(|scope| scope.parse().map_err(|()| unknown_scope(scope))).collect()
}

fn parsed_ranges(ranges: &[String]) -> Result<Vec<IpRange>, Status> {
    let parsed = |range: &String| range.parse::<IpRange>().map_err(|error| Status::invalid_argument(format!("{range:?}: {error}")));
    ranges.iter().map(parsed).collect()
}

fn parsed_status(status: &str) -> Result<ClientStatus, Status> {
    status.parse().map_err(|()| Status::invalid_argument("a status is active, review or suspended"))
}

fn not_added(error: AddClientError) -> Status {
    match error {
        AddClientError::Change(error) => not_changed(&error),
        error => Status::unavailable(one_line(&error)),
    }
}

//! `/api/v2/admin/clients`: registering, showing, changing and removing clients.
//!
//! A change that ends something is answered when no node acts on what was before (`Prefer: ack=committed` does not wait for that). A
//! secret is in one answer only: a request that is repeated with the same `Idempotency-Key` gets the rest of that answer, and `null`.

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::{
    HeaderValue, StatusCode,
    header::{LINK, LOCATION},
    request::Parts,
};
use ncore_domain::{AckLevel, AddClientError, ChangeError, ClientDetails, Domain, OnceKey};
use ncore_model::{Administrator, ClientId, Revision};
use secrecy::ExposeSecret;

use super::{
    page::{self, PageQuery},
    shape::{Changes, Client, ClientPage, GivenToken, NewClient, Wanted},
};
use crate::{
    front::{Shared, at, presented},
    problem::{Kind, Problem},
    v2::{
        auth::administrator,
        message::{ack, headers::idempotency_key, json as message},
    },
};

/// `GET /api/v2/admin/clients?limit=&cursor=`
pub(super) async fn list(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    administrator(&domain, &head).await?;
    presented(&head.headers)?;
    let PageQuery { limit, after } = PageQuery::parse(&head.uri)?;
    // One more, to know whether it is the last page.
    let mut seen = domain.clients().list_details(after, limit + 1).await?;
    let has_more = seen.value.len() > limit;
    seen.value.truncate(limit);
    let next_cursor = seen.value.last().filter(|_| has_more).map(|last| page::cursor(&last.client.id));
    let link = next_cursor.as_deref().and_then(|cursor| HeaderValue::try_from(page::link(limit, cursor)).ok());
    let document = ClientPage { clients: seen.value.into_iter().map(Client::from).collect(), next_cursor, has_more };
    let mut response = at(seen.revision, message::respond(StatusCode::OK, &document));
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

pub(super) async fn show(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    administrator(&domain, &head).await?;
    let id = named(id)?;
    presented(&head.headers)?;
    let (details, revision) = client(&domain, &id).await?;
    Ok(at(revision, message::respond(StatusCode::OK, &Client::from(details))))
}

pub(super) async fn register(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let (by, once) = change_of(&domain, &head).await?;
    let wanted: Wanted = message::parse(&head.headers, body).await?;
    let registered = domain.clients().register(wanted.registration()?, keyed(&by, once.as_ref())).await;
    let (id, new) = registered.map_err(Problem::from)?;
    tracing::info!(administrator = by.id.as_str(), client = id.as_str(), "registered a client");
    let (details, revision) = client(&domain, id.as_str()).await?;
    let refresh_token = new.as_ref().and_then(|new| new.refresh_token.as_ref());
    let document = NewClient::new(details, new.as_ref().map(|new| &new.secret), refresh_token);
    let mut response = at(new.as_ref().map_or(revision, |new| new.revision), message::respond(StatusCode::CREATED, &document));
    if let Ok(location) = HeaderValue::try_from(format!("/api/v2/admin/clients/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn change(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let (by, once) = change_of(&domain, &head).await?;
    let id = named(id)?;
    client(&domain, &id).await?;
    let changes: Changes = message::parse(&head.headers, body).await?;
    let update = changes.update(ClientId::from_text(&id))?;
    let level = ack::level(&head.headers, AckLevel::All);
    let (_, acknowledged) = domain.clients().update(update, keyed(&by, once.as_ref()), level).await?;
    tracing::info!(administrator = by.id.as_str(), client = id, "changed a client");
    let (details, revision) = client(&domain, &id).await?;
    Ok(at(revision, ack::say(&acknowledged, message::respond(StatusCode::OK, &Client::from(details)))))
}

pub(super) async fn delete(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let (by, once) = change_of(&domain, &head).await?;
    let id = named(id)?;
    let level = ack::level(&head.headers, AckLevel::All);
    let deleted = domain.clients().delete(ClientId::from_text(&id), keyed(&by, once.as_ref()), level).await;
    let (revision, acknowledged) = deleted.map_err(of_client)?;
    tracing::info!(administrator = by.id.as_str(), client = id, "deleted a client");
    Ok(at(revision, ack::say(&acknowledged, StatusCode::NO_CONTENT)))
}

pub(super) async fn rotate_secret(
    State(domain): Shared,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let (by, once) = change_of(&domain, &head).await?;
    let id = named(id)?;
    let (details, _) = client(&domain, &id).await?;
    let level = ack::level(&head.headers, AckLevel::All);
    let made = domain.clients().rotate_secret(&details.client, keyed(&by, once.as_ref()), level).await.map_err(Problem::from)?;
    tracing::info!(administrator = by.id.as_str(), client = id, "rotated the secret of a client");
    let shown = made.shown.as_ref();
    let document = NewClient::new(details, shown.map(|shown| &shown.0), shown.map(|shown| &shown.1));
    Ok(at(made.revision, ack::say(&made.acknowledged, message::respond(StatusCode::OK, &document))))
}

pub(super) async fn add_refresh_token(
    State(domain): Shared,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let (by, once) = change_of(&domain, &head).await?;
    let id = named(id)?;
    let (details, _) = client(&domain, &id).await?;
    let added = domain.tokens().add_refresh_token(&details.client, keyed(&by, once.as_ref())).await;
    let (token, revision) = added.map_err(Problem::from)?;
    tracing::info!(administrator = by.id.as_str(), client = id, "gave a client a refresh token");
    let document = GivenToken { client_id: id, refresh_token: token.map(|token| token.expose_secret().to_owned()) };
    Ok(at(revision, message::respond(StatusCode::CREATED, &document)))
}

/// The id in the path.
fn named(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::new(Kind::ClientNotFound, "no such client"))
}

/// Who changes something, and under which key.
async fn change_of(domain: &Domain, head: &Parts) -> Result<(Administrator, Option<OnceKey>), Problem> {
    let by = administrator(domain, head).await?;
    presented(&head.headers)?;
    Ok((by, idempotency_key(&head.headers)?))
}

fn keyed<'a>(by: &'a Administrator, once: Option<&'a OnceKey>) -> Option<(&'a str, &'a OnceKey)> {
    once.map(|key| (by.id.as_str(), key))
}

async fn client(domain: &Domain, id: &str) -> Result<(ClientDetails, Revision), Problem> {
    let seen = domain.clients().details(ClientId::from_text(id)).await?;
    let details = seen.value.ok_or_else(|| Problem::new(Kind::ClientNotFound, "no such client"))?;
    Ok((details, seen.revision))
}

/// Here a client that is not there is one that the caller named.
fn of_client(error: ChangeError) -> Problem {
    match error {
        ChangeError::Rejected { rejection: ncore_model::Rejection::ClientUnknown, revision } => {
            Problem::new(Kind::ClientNotFound, "no such client").decided_at(revision)
        }
        error => error.into(),
    }
}

impl From<AddClientError> for Problem {
    fn from(error: AddClientError) -> Self {
        match error {
            AddClientError::Busy => Self::new(Kind::Busy, error.to_string()),
            AddClientError::Change(error) => of_client(error),
            AddClientError::Entropy | AddClientError::Hash(_) => Self::internal(&error),
        }
    }
}

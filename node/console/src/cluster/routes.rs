//! The paths of the cluster's page: signing in, the page, its stream, and signing out.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE},
    request::Parts,
};
use http_body::Body;
use http_body_util::{BodyExt, Limited, StreamBody};
use ncore_domain::{AdministratorError, DenialReason, SignInError};
use ncore_model::ClientId;
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::{LIVE, PAGE, SIGN_IN, SIGN_OUT, access};
use crate::{
    BoxError,
    answer::{Forms, document, empty, guarded, not_allowed},
    console::{CameFrom, Console, PageBody, after, full, parameter, streaming},
    page,
};

/// The most bytes of a form.
const FORM_BYTES_MAX: usize = 4 << 10;
/// How long a form may take to come.
const FORM_WITHIN: Duration = Duration::from_secs(10);
/// Clients on a page of the directory.
const CLIENTS_PAGE: usize = 25;

impl Console {
    pub(crate) async fn answer_cluster<B>(self: &Arc<Self>, head: Parts, body: B, from: CameFrom) -> Response<PageBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let is_read = head.method == Method::GET || head.method == Method::HEAD;
        match head.uri.path() {
            PAGE if is_read => self.cluster_page(&head, from).await,
            LIVE if is_read => self.cluster_stream(&head, from).await,
            SIGN_IN if is_read => self.sign_in_page(StatusCode::OK, None),
            SIGN_IN if head.method == Method::POST => self.sign_in(&head, body, from).await,
            SIGN_OUT if head.method == Method::POST => self.sign_out(&head, body, from).await,
            SIGN_OUT => not_allowed("POST"),
            SIGN_IN => not_allowed("GET, HEAD, POST"),
            _ => not_allowed("GET, HEAD"),
        }
    }

    /// Whether cookies of this request are for TLS alone. So they are where TLS ends before the node, too.
    fn is_secure(&self, from: CameFrom) -> bool {
        from.secure || self.parts.node.url.starts_with("https://")
    }

    fn is_own_form(&self, head: &Parts) -> bool {
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        access::is_own_form(&head.headers, authority, self.parts.node.url.trim_end_matches('/'))
    }

    fn session<'a>(&self, head: &'a Parts, from: CameFrom) -> Option<&'a str> {
        access::session(&head.headers, self.parts.node.id, self.is_secure(from))
    }

    async fn cluster_page(&self, head: &Parts, from: CameFrom) -> Response<PageBody> {
        if !access::is_visit(&head.headers) {
            return guarded(empty(StatusCode::FORBIDDEN));
        }
        let signed_in = match access::who(&self.parts.domain, self.session(head, from)).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return see(SIGN_IN),
            Err(error) => return self.not_now(&error),
        };
        let clients_after = parameter(&head.uri, "client").map(|id| ClientId::from_text(&id));
        let (is_further_index, is_further_roster) = (after(&head.uri).is_some(), clients_after.is_some());
        let domain = &self.parts.domain;
        let (known, index, roster, snapshot) = tokio::join!(
            self.known(),
            self.index(after(&head.uri)),
            domain.clients().roster(clients_after, CLIENTS_PAGE, domain.now_s()),
            self.cluster.snapshot(),
        );
        let html = page::cluster::render(&page::cluster::Content {
            files: &self.files,
            known: &known,
            signed_in: &signed_in,
            snapshot: &snapshot,
            index: index.as_ref(),
            is_further_index,
            roster: roster.ok().map(|seen| seen.value).as_ref(),
            is_further_roster,
        });
        document(StatusCode::OK, html, Forms::Own)
    }

    async fn cluster_stream(&self, head: &Parts, from: CameFrom) -> Response<PageBody> {
        let session = self.session(head, from);
        let key = head.headers.get(access::PAGE_KEY).and_then(|key| key.to_str().ok());
        match access::who(&self.parts.domain, session).await {
            Ok(Some(signed_in)) if access::fits(&signed_in, key) => {}
            Ok(Some(_)) => return guarded(empty(StatusCode::FORBIDDEN)),
            Ok(None) => return guarded(empty(StatusCode::UNAUTHORIZED)),
            Err(_) => return full(),
        }
        if head.method == Method::HEAD {
            return streaming(empty(StatusCode::OK));
        }
        let stream = self.cluster.watch(session.unwrap_or_default().to_owned());
        stream.map_or_else(full, |stream| streaming(Response::new(StreamBody::new(stream).boxed_unsync())))
    }

    async fn sign_in<B>(&self, head: &Parts, body: B, from: CameFrom) -> Response<PageBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if !self.is_own_form(head) {
            return self.sign_in_page(StatusCode::FORBIDDEN, Some("The form was sent from another site. Sign in here."));
        }
        let Some(token) = form(body).await.and_then(|form| access::field(&form, "token")) else {
            return self.sign_in_page(StatusCode::BAD_REQUEST, Some("The form had no token."));
        };
        let domain = &self.parts.domain;
        match domain.sessions().begin(domain.administrators(), token.trim(), Some(from.address)).await {
            Ok(session) => {
                tracing::info!(address = %from.address, "an administrator signed in");
                let (secret, age) = (session.secret.expose_secret(), session.good_for.as_secs());
                let mut response = see(PAGE);
                let cookie = access::set_cookie(self.parts.node.id, self.is_secure(from), Some((secret, age)));
                response.headers_mut().insert(SET_COOKIE, cookie);
                response
            }
            Err(error) => self.not_let_in(&error, from.address),
        }
    }

    fn not_let_in(&self, error: &SignInError, address: IpAddr) -> Response<PageBody> {
        let denials = self.parts.domain.denials();
        match error {
            SignInError::Slowed { wait } => {
                denials.note(DenialReason::Slowed, Some(address), "signing in");
                let seconds = wait.as_secs() + 1;
                let said = format!("Too many wrong tokens came from your address. Try again in {seconds} s.");
                let mut response = self.sign_in_page(StatusCode::TOO_MANY_REQUESTS, Some(&said));
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            SignInError::Token(AdministratorError::Refused) => {
                denials.note(DenialReason::Token, Some(address), "signing in");
                self.sign_in_page(StatusCode::UNAUTHORIZED, Some("This is not the token of an administrator."))
            }
            SignInError::Token(error) => self.not_now(error),
        }
    }

    async fn sign_out<B>(&self, head: &Parts, body: B, from: CameFrom) -> Response<PageBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let session = self.session(head, from);
        if let (Some(secret), Ok(Some(signed_in))) = (session, access::who(&self.parts.domain, session).await) {
            let key = form(body).await.and_then(|form| access::field(&form, "key"));
            if !self.is_own_form(head) || !access::fits(&signed_in, key.as_deref()) {
                return guarded(empty(StatusCode::FORBIDDEN));
            }
            self.parts.domain.sessions().end(secret);
        }
        let mut response = see("/");
        response.headers_mut().insert(SET_COOKIE, access::set_cookie(self.parts.node.id, self.is_secure(from), None));
        response
    }

    fn sign_in_page(&self, status: StatusCode, said: Option<&str>) -> Response<PageBody> {
        document(status, page::sign_in::render(&self.files, said), Forms::Own)
    }

    /// What is answered while this node cannot know who somebody is.
    fn not_now(&self, error: &AdministratorError) -> Response<PageBody> {
        tracing::warn!(error = error as &dyn std::error::Error, "an administrator cannot be let in now");
        let said = "This node cannot check who you are: its view of the cluster may be too old. Try again, or at another node.";
        let mut response = self.sign_in_page(StatusCode::SERVICE_UNAVAILABLE, Some(said));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        response
    }
}

/// What was sent with a form; `None` if it is too large, too slow or no text.
async fn form<B>(body: B) -> Option<String>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let body = timeout(FORM_WITHIN, Limited::new(body, FORM_BYTES_MAX).collect()).await.ok()?.ok()?;
    String::from_utf8(body.to_bytes().to_vec()).ok()
}

/// Go there.
fn see(path: &'static str) -> Response<PageBody> {
    let mut response = empty(StatusCode::SEE_OTHER);
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(path));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    guarded(response)
}

//! What a client sends for a token, in whichever of the ways it may.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use ncore_domain::percent;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::error::OauthError;
use crate::v2::{
    message::{form, json},
    written,
};

/// A request for a token, complete and in one way only.
pub(super) struct TokenRequest {
    pub(super) client_id: String,
    pub(super) secret: SecretString,
    pub(super) scope: Option<String>,
    /// What an access token is asked for; nobody asks where it is about another token.
    pub(super) grant: Result<Grant, OauthError>,
    /// The token that is to be revoked, or looked at.
    pub(super) token: Option<String>,
    /// Whether the secret came by HTTP Basic.
    pub(super) is_basic: bool,
}

/// What an access token is asked for. `Debug` is left out: it has a secret.
pub(super) enum Grant {
    /// The client's own secret.
    ClientCredentials,
    /// A refresh token.
    RefreshToken(String),
}

/// The parameters in the body. Others are ignored (RFC 6749, section 3.2). `Debug` is left out: it has a secret.
#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::v2) struct Parameters {
    #[schemars(extend("enum" = ["client_credentials", "refresh_token", "", null]))]
    grant_type: Option<String>,
    client_id: Option<String>,
    /// Or `client_secret`; not beside HTTP Basic.
    #[serde(alias = "client_secret")]
    secret: Option<String>,
    /// Of those that the client has, with spaces between them; all of them if it is left out.
    #[schemars(regex(pattern = written::SCOPES))]
    scope: Option<String>,
    token: Option<String>,
    refresh_token: Option<String>,
}

impl TokenRequest {
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, OauthError> {
        let basic = basic(headers)?;
        let Parameters { grant_type, client_id, secret, scope, token, refresh_token } = parameters(headers, body)?;
        let grant = match (grant_type.as_deref(), refresh_token) {
            (None | Some("client_credentials"), _) => Ok(Grant::ClientCredentials),
            (Some("refresh_token"), Some(token)) => Ok(Grant::RefreshToken(token)),
            (Some("refresh_token"), None) => Err(OauthError::invalid_request("refresh_token is missing")),
            (Some(_), _) => Err(OauthError::unsupported_grant_type()),
        };
        let is_basic = basic.is_some();
        let (client_id, secret) = match (basic, client_id, secret) {
            (Some(_), _, Some(_)) => return Err(OauthError::invalid_request("the secret is sent in one way only, header or body")),
            (Some((id, _)), Some(other), None) if id != other => {
                return Err(OauthError::invalid_request("client_id is not that of the Authorization header"));
            }
            (Some((id, secret)), _, None) => (id, secret),
            (None, Some(id), Some(secret)) => (id, secret),
            (None, None, _) => return Err(OauthError::invalid_request("client_id is missing")),
            (None, Some(_), None) => return Err(OauthError::invalid_request("secret is missing")),
        };
        Ok(Self { client_id, secret: SecretString::from(secret), scope, grant, token, is_basic })
    }
}

/// The token in a body whose sender proved in the header who it is.
pub(super) fn token(headers: &HeaderMap, body: &[u8]) -> Result<String, OauthError> {
    parameters(headers, body)?.token.ok_or_else(|| OauthError::invalid_request("token is missing"))
}

fn parameters(headers: &HeaderMap, body: &[u8]) -> Result<Parameters, OauthError> {
    if body.is_empty() {
        return Ok(Parameters::default());
    }
    let mut parameters = if json::is_json(headers) {
        serde_json::from_slice(body).map_err(|error| OauthError::invalid_request(format!("the body is not as it must be: {error}")))?
    } else if json::media_type(headers).is_some_and(|mime| mime == "application/x-www-form-urlencoded") {
        form_parameters(body).map_err(|error| OauthError::invalid_request(format!("the form is not valid: {error}")))?
    } else {
        return Err(OauthError::invalid_request("the body must be application/json or application/x-www-form-urlencoded"));
    };
    // What is sent without a value counts as not sent.
    let Parameters { grant_type, client_id, secret, scope, token, refresh_token } = &mut parameters;
    for parameter in [grant_type, client_id, secret, scope, token, refresh_token] {
        parameter.take_if(|value| value.is_empty());
    }
    Ok(parameters)
}

fn form_parameters(body: &[u8]) -> Result<Parameters, form::FormError> {
    let form = form::parse(str::from_utf8(body).map_err(|_| form::FormError::Encoding)?)?;
    let one = |name| Ok(form.one(name)?.map(str::to_owned));
    let (secret, client_secret) = (one("secret")?, one("client_secret")?);
    if secret.is_some() && client_secret.is_some() {
        return Err(form::FormError::Repeated("secret"));
    }
    Ok(Parameters {
        grant_type: one("grant_type")?,
        client_id: one("client_id")?,
        secret: secret.or(client_secret),
        scope: one("scope")?,
        token: one("token")?,
        refresh_token: one("refresh_token")?,
    })
}

/// The client and its secret by HTTP Basic, each form-encoded before it was put together (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OauthError> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(OauthError::invalid_request("there is more than one Authorization header"));
    }
    let credentials = value.to_str().ok().and_then(|text| text.split_once(' ')).and_then(|(scheme, encoded)| {
        let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok()).flatten()?;
        let text = String::from_utf8(decoded).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((percent::decoded(id)?, percent::decoded(secret)?))
    });
    credentials.map(Some).ok_or_else(|| OauthError::invalid_client("the Authorization header is not HTTP Basic", true))
}

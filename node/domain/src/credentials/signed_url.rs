//! Addresses that a client has signed: whoever has one may read what it is for, until it expires.
//!
//! ```text
//!   <address of an asset>?nc_client=<id>&nc_expires=<Unix seconds>[&nc_net=<address or CIDR>][&nc_prefix=<prefix>]&nc_signature=<text>
//! ```
//! The signature is base64url, without padding, of HMAC-SHA256 under the key of the client, of these six lines with a line feed between
//! each two:
//!
//! ```text
//!   ncore-url-1
//!   <nc_client>
//!   <nc_expires>
//!   <nc_net, or nothing>
//!   path                 or  prefix
//!   <path of the asset>      <nc_prefix>
//! ```
//! All in the clear, before any percent-encoding. What a line stands for can hold no line feed, so no two grants have the same lines.
//!
//! This file is what is signed and how it is written; which key a client has, and whether it may still sign, is in [`signer`](super::signer).

use std::{fmt::Write, net::IpAddr};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;
use ncore_model::{AssetPath, ClientId, MAX_PATH_BYTES};

use crate::percent;

/// What an address is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// Whose assets.
    pub client: ClientId,
    /// Which of them.
    pub reach: Reach,
    /// The Unix second from which on it is good for nothing.
    pub expires_at_s: u64,
    /// From where; from everywhere if it does not say.
    pub network: Option<IpNet>,
}

/// Which assets a [`Grant`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The one that the address names.
    Path(String),
    /// All whose paths begin so. It ends with a slash, or is empty.
    Prefix(String),
}

/// Why an address is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedUrlError {
    /// It lacks a field, has one twice or has one that cannot be read.
    #[error("the signed address is malformed: {0}")]
    Malformed(&'static str),
    /// It was changed, or the client has another key by now, or there is no such client.
    #[error("the signature does not fit the address")]
    Signature,
    /// Its time is over.
    #[error("the signed address has expired")]
    Expired,
    /// It is for other viewers.
    #[error("the signed address is not for this network")]
    OtherNetwork,
    /// It is for other assets.
    #[error("the signed address is for other assets")]
    OtherAsset,
}

/// The key of a client.
pub(super) type Key = [u8; 32];

/// An address as it came in, not checked yet.
#[derive(Debug)]
pub(super) struct Presented {
    client: String,
    expires: String,
    network: Option<String>,
    prefix: Option<String>,
    signature: Vec<u8>,
}

impl Reach {
    /// A prefix, if it is one: it ends with a slash, so that `a/b/` is not about `a/bc`, or is empty.
    #[must_use]
    pub fn prefix(text: &str) -> Option<Self> {
        let is_prefix = text.is_empty() || text.strip_suffix('/').is_some_and(|folder| AssetPath::check(folder).is_ok());
        (is_prefix && text.len() <= MAX_PATH_BYTES).then(|| Self::Prefix(text.to_owned()))
    }

    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Path(own) => own == path,
            Self::Prefix(prefix) => path.starts_with(prefix),
        }
    }
}

impl Grant {
    /// The query of an address that carries this grant.
    pub(super) fn query(&self, key: &Key) -> String {
        let network = self.network.map(|network| network.to_string());
        let expires = self.expires_at_s.to_string();
        let tag = hmac::sign(&hmac_key(key), lines(self.client.as_str(), &expires, network.as_deref(), &self.reach).as_bytes());
        let mut query = format!("nc_client={}&nc_expires={expires}", percent::query(self.client.as_str()));
        if let Some(network) = network {
            let _ = write!(query, "&nc_net={}", percent::query(&network));
        }
        if let Reach::Prefix(prefix) = &self.reach {
            let _ = write!(query, "&nc_prefix={}", percent::query(prefix));
        }
        let _ = write!(query, "&nc_signature={}", URL_SAFE_NO_PAD.encode(tag));
        query
    }
}

/// Whether a query has the signature of an address in it.
#[must_use]
pub fn is_signed(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some("nc_signature"))
}

impl Presented {
    /// Reads the fields of a signed address. Others are not looked at, but for those that begin like ours.
    pub(super) fn parse(query: &str) -> Result<Self, SignedUrlError> {
        let mut fields: [Option<String>; NAMES.len()] = Default::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !name.starts_with("nc_") {
                continue;
            }
            let at = NAMES.iter().position(|known| *known == name).ok_or(SignedUrlError::Malformed("it has a field that is unknown"))?;
            let value = unescaped(value).ok_or(SignedUrlError::Malformed("a field is not correctly encoded"))?;
            if fields[at].replace(value).is_some() {
                return Err(SignedUrlError::Malformed("a field comes twice"));
            }
        }
        let [client, expires, network, prefix, signature] = fields;
        let missing = SignedUrlError::Malformed("a field is missing");
        let signature = URL_SAFE_NO_PAD.decode(signature.ok_or(missing)?);
        Ok(Self {
            client: client.ok_or(missing)?,
            expires: expires.ok_or(missing)?,
            network,
            prefix,
            signature: signature.map_err(|_| SignedUrlError::Malformed("the signature is not base64url"))?,
        })
    }

    /// Who is said to have signed it.
    pub(super) fn client(&self) -> ClientId {
        ClientId::from_text(&self.client)
    }

    /// Whether it was signed with `key`, and is good for the asset at `path`, asked for from `remote` at `now_s`. Nothing that the address
    /// says is believed before the signature fits.
    pub(super) fn check(&self, key: &Key, path: &str, remote: IpAddr, now_s: u64) -> Result<(), SignedUrlError> {
        let reach = self.prefix.as_ref().map_or_else(|| Reach::Path(path.to_owned()), |prefix| Reach::Prefix(prefix.clone()));
        let lines = lines(&self.client, &self.expires, self.network.as_deref(), &reach);
        hmac::verify(&hmac_key(key), lines.as_bytes(), &self.signature).map_err(|_| SignedUrlError::Signature)?;
        // A client may sign for itself, and sign nonsense.
        let expires_at_s: u64 = self.expires.parse().map_err(|_| SignedUrlError::Malformed("nc_expires is no number"))?;
        if expires_at_s <= now_s {
            return Err(SignedUrlError::Expired);
        }
        if let Some(network) = &self.network {
            let network = parse_network(network).ok_or(SignedUrlError::Malformed("nc_net is no address and no network"))?;
            if !network.contains(&remote.to_canonical()) {
                return Err(SignedUrlError::OtherNetwork);
            }
        }
        if let Some(prefix) = &self.prefix {
            let reach = Reach::prefix(prefix).ok_or(SignedUrlError::Malformed("nc_prefix does not end with a slash"))?;
            if !reach.covers(path) {
                return Err(SignedUrlError::OtherAsset);
            }
        }
        Ok(())
    }
}

/// An address, or a network in CIDR notation.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical())))
}

fn lines(client: &str, expires: &str, network: Option<&str>, reach: &Reach) -> String {
    let (kind, of) = match reach {
        Reach::Path(path) => ("path", path),
        Reach::Prefix(prefix) => ("prefix", prefix),
    };
    format!("ncore-url-1\n{client}\n{expires}\n{}\n{kind}\n{of}", network.unwrap_or_default())
}

fn hmac_key(key: &Key) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// A field as it was meant. A line feed in it would let it pass for two lines of what is signed.
fn unescaped(text: &str) -> Option<String> {
    percent::decoded(text).filter(|text| !text.chars().any(char::is_control))
}

const NAMES: [&str; 5] = ["nc_client", "nc_expires", "nc_net", "nc_prefix", "nc_signature"];

#[cfg(test)]
mod tests;

//! What `node.json` looks like, format 1.
//!
//! ```json
//! { "format": 1,
//!   "key": "<PKCS#8, base64>", "cluster_key": "<32 bytes, base64>",
//!   "chain": ["<DER, base64>"], "authorities": ["<DER, base64>"] }
//! ```
//!
//! JSON, so that `jq -r '.chain[0]' node.json | base64 -d | openssl x509 -inform der -text` shows the certificate. The
//! node id and cluster id are in the certificate and nowhere else, so there is nothing for them to disagree with. A field
//! that this version does not know is an error: dropping it at the next renewal would lose it.
//!
//! Errors never quote the file; it is full of secrets.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::cluster_key::ClusterKey;
use crate::entropy::EntropyError;
use crate::error::LoadError;
use crate::identity::{NodeIdentity, Parts};
use crate::signing_key::SigningKey;

/// Writes the record. Fails only if the crypto library does not give the key out.
pub(crate) fn encode(identity: &NodeIdentity) -> Result<Zeroizing<Vec<u8>>, EntropyError> {
    let key = Zeroizing::new(STANDARD.encode(identity.key().to_pkcs8()?));
    let cluster_key = Zeroizing::new(STANDARD.encode(identity.cluster_key().expose()));
    let record = Written {
        format: FORMAT,
        key: &key,
        cluster_key: &cluster_key,
        chain: identity.chain().iter().map(|der| STANDARD.encode(der)).collect(),
        authorities: identity.authorities().iter().map(|der| STANDARD.encode(der)).collect(),
    };
    // Reserved whole, so that no half of a secret stays behind where a buffer was before it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    serde_json::to_writer_pretty(&mut *bytes, &record).expect("strings and a number become JSON in memory");
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the record. Whether its parts fit together is not checked here.
pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Parts, LoadError> {
    let header: Header = parse(bytes, path)?;
    if header.format != FORMAT {
        return Err(LoadError::NewerFormat { path: path.to_owned(), found: header.format });
    }
    let record: Read = parse(bytes, path)?;
    let field = |field| LoadError::Field { path: path.to_owned(), field };
    let key = secret(&record.key).and_then(|key| SigningKey::from_pkcs8(&key));
    let cluster_key = secret(&record.cluster_key).and_then(|key| ClusterKey::from_slice(&key).ok());
    Ok(Parts {
        key: Arc::new(key.ok_or_else(|| field("key"))?),
        cluster_key: cluster_key.ok_or_else(|| field("cluster_key"))?,
        chain: certificates(&record.chain).ok_or_else(|| field("chain"))?,
        authorities: certificates(&record.authorities).ok_or_else(|| field("authorities"))?,
    })
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    key: &'a str,
    cluster_key: &'a str,
    chain: Vec<String>,
    authorities: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "format")]
    _format: u32,
    key: SecretString,
    cluster_key: SecretString,
    chain: Vec<String>,
    authorities: Vec<String>,
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], path: &Path) -> Result<T, LoadError> {
    serde_json::from_slice(bytes).map_err(|error| LoadError::Malformed {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    })
}

fn secret(text: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text.expose_secret()).ok().map(Zeroizing::new)
}

fn certificates(texts: &[String]) -> Option<Vec<CertificateDer<'static>>> {
    texts.iter().map(|text| STANDARD.decode(text).ok().map(CertificateDer::from)).collect()
}

const FORMAT: u32 = 1;

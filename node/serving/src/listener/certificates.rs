//! The certificates that the data plane shows, and which of them a viewer gets.
//!
//! A viewer says in the handshake which host it means (SNI). The certificate with that very name is shown; else the one whose
//! wildcard covers it; else, and to a viewer that names no host, the node's own. Of several with the same name it is the
//! one that is good for longest.
//!
//! A wildcard stands for exactly one label (RFC 9525 §6.3): `*.example.com` covers `a.example.com`, and neither `example.com`
//! nor `a.b.example.com`. Names with a `*` elsewhere are nobody's.

mod directory;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzed;
mod watch;

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate};

pub use self::{
    directory::{CertificateError, CertificateFiles},
    watch::{CertificateWatch, CertificatesError},
};
use super::tls::TlsError;

/// A certificate chain with the key that proves it.
pub struct Certificate {
    proof: Arc<CertifiedKey>,
    names: Vec<Pattern>,
    expires_at: u64,
}

/// What a name in a certificate covers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// One host.
    Exact(Box<str>),
    /// Hosts of one more label than this.
    Wildcard(Box<str>),
}

/// What is shown at one time.
pub struct CertificateSet {
    default: Arc<Certificate>,
    exact: HashMap<Box<str>, Arc<Certificate>>,
    wildcard: HashMap<Box<str>, Arc<Certificate>>,
}

/// The set that is shown now.
pub(super) struct Shown(ArcSwap<CertificateSet>);

impl Certificate {
    /// `chain`, leaf first, with its key.
    ///
    /// # Errors
    /// [`TlsError`] if they do not belong together, or are of a kind that is not supported.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let (names, expires_at) = said_by(chain.first().ok_or(TlsError::Empty)?)?;
        let proof = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(TlsError::Certificate)?;
        Ok(Self { proof: Arc::new(proof), names, expires_at })
    }

    /// The same out of the text of two files.
    ///
    /// # Errors
    /// [`TlsError`], also if either is not PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(TlsError::ChainPem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::KeyPem)?;
        Self::new(chain, key)
    }

    /// Whether it names a host at all.
    pub(super) fn names_a_host(&self) -> bool {
        !self.names.is_empty()
    }

    /// When it stops being good, in seconds since 1970.
    pub(super) fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl CertificateSet {
    /// `default` for whoever names no host that one of `others` has.
    pub fn new(default: Arc<Certificate>, others: impl IntoIterator<Item = Arc<Certificate>>) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for certificate in std::iter::once(Arc::clone(&default)).chain(others) {
            for name in &certificate.names {
                let (covered, host) = match name {
                    Pattern::Exact(host) => (&mut exact, host),
                    Pattern::Wildcard(host) => (&mut wildcard, host),
                };
                let known = covered.entry(host.clone()).or_insert_with(|| Arc::clone(&certificate));
                if known.expires_at < certificate.expires_at {
                    *known = Arc::clone(&certificate);
                }
            }
        }
        Self { default, exact, wildcard }
    }

    /// The certificate for a viewer that asks for `host`.
    fn find(&self, host: Option<&str>) -> &Arc<Certificate> {
        host.and_then(|host| self.named(host)).unwrap_or(&self.default)
    }

    fn named(&self, host: &str) -> Option<&Arc<Certificate>> {
        let host = lower(host.strip_suffix('.').unwrap_or(host));
        self.exact.get(&*host).or_else(|| {
            let (label, parent) = host.split_once('.')?;
            if label.is_empty() { None } else { self.wildcard.get(parent) }
        })
    }
}

impl fmt::Debug for CertificateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateSet").field("default", &self.default).finish_non_exhaustive()
    }
}

impl Shown {
    pub(super) fn new(set: CertificateSet) -> Self {
        Self(ArcSwap::from_pointee(set))
    }

    pub(super) fn show(&self, set: CertificateSet) {
        self.0.store(Arc::new(set));
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.0.load()).finish()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().find(hello.server_name()).proof))
    }
}

/// The hosts that a certificate names, and when it expires.
fn said_by(leaf: &CertificateDer<'_>) -> Result<(Vec<Pattern>, u64), TlsError> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| TlsError::Malformed)?;
    let expires_at = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    let alternative = leaf.subject_alternative_name().map_err(|_| TlsError::Malformed)?;
    let names = alternative.map_or(&[][..], |extension| extension.value.general_names.as_slice());
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Pattern::of(name),
        _ => None,
    });
    Ok((names.collect(), expires_at))
}

impl Pattern {
    fn of(name: &str) -> Option<Self> {
        let name = lower(name.strip_suffix('.').unwrap_or(name));
        let (parent, wildcard) = name.strip_prefix("*.").map_or((&*name, false), |parent| (parent, true));
        if parent.is_empty() || parent.contains('*') || parent.starts_with('.') {
            return None;
        }
        Some(if wildcard { Self::Wildcard(parent.into()) } else { Self::Exact(parent.into()) })
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::{Certificate, CertificateSet, Pattern};
    use crate::listener::tls::TlsError;

    fn made(names: &[&str], year: i32) -> Arc<Certificate> {
        let key = KeyPair::generate().expect("a key");
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&key).expect("signed");
        Arc::new(Certificate::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).expect("usable"))
    }

    /// RFC 9525 §6.3, and what goes before what.
    #[test]
    fn the_name_decides() {
        let own = made(&["node.example", "both.example.com"], 2040);
        let wild = made(&["*.example.com", "*.Upper.Example"], 2041);
        let exact = made(&["shop.example.com", "10.0.0.1", "example.org"], 2030);
        let deep = made(&["*.b.example.com"], 2030);
        let set = CertificateSet::new(Arc::clone(&own), [&wild, &exact, &deep].map(Arc::clone));
        let table = [
            (None, &own),
            (Some("node.example"), &own),
            (Some("unknown.example"), &own),
            (Some("shop.example.com"), &exact),
            (Some("SHOP.example.COM"), &exact),
            (Some("shop.example.com."), &exact),
            (Some("example.org"), &exact),
            (Some("www.example.org"), &own),
            (Some("a.example.com"), &wild),
            (Some("xn--bcher-kva.example.com"), &wild),
            (Some("example.com"), &own),
            (Some(".example.com"), &own),
            (Some("a.c.example.com"), &own),
            (Some("a.b.example.com"), &deep),
            (Some("b.example.com"), &wild),
            (Some("both.example.com"), &own),
            (Some("x.upper.example"), &wild),
            (Some("*.example.com"), &wild),
            (Some(""), &own),
            (Some("com"), &own),
        ];
        for (host, expected) in table {
            assert!(Arc::ptr_eq(set.find(host), expected), "{host:?} got {:?}", set.find(host));
        }
    }

    #[test]
    fn of_two_with_one_name_the_one_that_lasts_longer_is_shown() {
        let own = made(&["a.example"], 2030);
        let renewed = made(&["a.example"], 2031);
        for others in [[&own, &renewed], [&renewed, &own]] {
            let set = CertificateSet::new(Arc::clone(&own), others.map(Arc::clone));
            assert!(Arc::ptr_eq(set.find(Some("a.example")), &renewed));
            assert!(Arc::ptr_eq(set.find(Some("b.example")), &own));
        }
    }

    #[test]
    fn names_that_are_patterns_of_another_kind_cover_nothing() {
        for name in ["*", "*.", "f*.example.com", "*.*.com", "a.*.com", "*..com", ""] {
            assert_eq!(Pattern::of(name), None, "{name}");
        }
        assert_eq!(Pattern::of("*.A.example"), Some(Pattern::Wildcard("a.example".into())));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let certificate = CertificateParams::new(vec!["a.example".to_owned()]).expect("names").self_signed(&one).expect("signed");
        let (chain, key) = (certificate.pem(), other.serialize_pem());
        let error = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect_err("they do not belong together");
        assert!(matches!(error, TlsError::Certificate(_)), "{error}");
        for (chain, key) in [("", key.as_str()), ("nothing", &key), (&chain, ""), (&chain[..200], &key)] {
            Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect_err("half of it");
        }
    }
}

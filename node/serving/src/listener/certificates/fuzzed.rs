//! What fuzz targets reach of the choice of a certificate.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use rustls::{crypto::aws_lc_rs::sign::any_eddsa_type, pki_types::PrivatePkcs8KeyDer, sign::CertifiedKey};

use super::{Certificate, CertificateSet, Pattern};

/// A key, so that there is one: what is shown is told by its names.
static PROOF: LazyLock<Arc<CertifiedKey>> = LazyLock::new(|| {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let key = PrivatePkcs8KeyDer::from(key.as_ref().to_vec());
    Arc::new(CertifiedKey::new(Vec::new(), any_eddsa_type(&key).expect("a key of its kind")))
});

/// Which of the certificates with these names and times of expiry a viewer gets that asks for `host`: the first is the node's own.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn shown_for(certificates: &[(Vec<&str>, u64)], host: Option<&str>) -> usize {
    let made = certificates.iter().map(|(names, expires_at)| {
        let names = names.iter().filter_map(|name| Pattern::of(name)).collect();
        Arc::new(Certificate { proof: Arc::clone(&PROOF), names, expires_at: *expires_at })
    });
    let made: Vec<_> = made.collect();
    let set = CertificateSet::new(Arc::clone(&made[0]), made[1..].iter().map(Arc::clone));
    made.iter().position(|certificate| Arc::ptr_eq(certificate, set.find(host))).expect("one of them")
}

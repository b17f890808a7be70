//! An authority, and one certificate for every member and every client of etcd.

use std::{fs, net::Ipv4Addr, path::Path, sync::Arc};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, version::TLS13};

/// Writes `ca.crt`, `member.crt` and `member.key` to `dir`.
pub(super) fn write(dir: &Path) -> Result<()> {
    let (authority_key, member_key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    fs::write(dir.join("ca.crt"), authority.self_signed(&authority_key)?.pem())?;
    let mut member = CertificateParams::default();
    member.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    member.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let signed = member.signed_by(&member_key, &Issuer::new(authority, authority_key))?;
    fs::write(dir.join("member.crt"), signed.pem())?;
    fs::write(dir.join("member.key"), member_key.serialize_pem())?;
    Ok(())
}

/// What a client dials with.
pub(super) fn client(dir: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.crt")).context("the authority's certificate")?)?;
    let certificate = CertificateDer::from_pem_file(dir.join("member.crt")).context("the client's certificate")?;
    let key = PrivateKeyDer::from_pem_file(dir.join("member.key")).context("the client's key")?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

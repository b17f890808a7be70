//! The certificate that viewers see.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use ncore_serving::TlsIdentity;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

pub(super) fn load(cert: &Path, key: &Path) -> Result<Arc<TlsIdentity>> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {}", cert.display()))?;
    let key_der = PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    Ok(Arc::new(TlsIdentity::new(chain, key_der)?))
}

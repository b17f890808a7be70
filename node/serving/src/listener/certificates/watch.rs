//! Takes up certificates that change, within seconds or when told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::Notify, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use super::directory::{CertificateError, CertificateFiles, Known, Look};
use crate::{
    listener::tls::{Resumption, TlsError, TlsIdentity},
    metrics::{ServingMetrics, add},
};

/// Keeps a [`TlsIdentity`] to what is in the files.
#[derive(Debug)]
pub struct CertificateWatch {
    identity: Arc<TlsIdentity>,
    known: Known,
    metrics: Arc<ServingMetrics>,
}

/// Why a node cannot begin to speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The files are not right.
    #[error(transparent)]
    Files(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl CertificateWatch {
    /// Reads the certificates. Blocks on the disk.
    ///
    /// # Errors
    /// [`CertificatesError`] if the node's own certificate cannot be used, or there is no such directory.
    pub fn open(files: CertificateFiles, resumption: Resumption, metrics: Arc<ServingMetrics>) -> Result<Self, CertificatesError> {
        let (known, look) = Known::first(files)?;
        let identity = Arc::new(TlsIdentity::showing(known.set(), resumption)?);
        let watch = Self { identity, known, metrics };
        watch.count(&look);
        Ok(watch)
    }

    /// What is shown.
    #[must_use]
    pub fn identity(&self) -> Arc<TlsIdentity> {
        Arc::clone(&self.identity)
    }

    /// Looks for changes every two seconds, and reads all again at each `reload`, until `shutdown`.
    pub async fn run(mut self, reload: Arc<Notify>, shutdown: CancellationToken) {
        loop {
            let all = tokio::select! {
                () = shutdown.cancelled() => return,
                () = reload.notified() => true,
                () = sleep(EVERY) => false,
            };
            let looked = spawn_blocking(move || {
                let look = self.known.look(all);
                (self, look)
            });
            let Ok((watch, look)) = looked.await else {
                tracing::error!("certificates are not taken up any more: looking for them failed");
                return;
            };
            self = watch;
            self.count(&look);
            if look.changed {
                self.identity.show(self.known.set());
                add(&self.metrics.certificate_swaps, 1);
                tracing::info!(certificates = look.used, refused = look.refused, "other certificates are shown");
            }
        }
    }

    fn count(&self, look: &Look) {
        self.metrics.certificates.store(look.used, Ordering::Relaxed);
        self.metrics.certificates_refused.store(look.refused, Ordering::Relaxed);
        self.metrics.certificate_expires_s.store(look.expires_at, Ordering::Relaxed);
    }
}

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

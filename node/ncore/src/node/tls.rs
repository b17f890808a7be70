//! What viewers see of TLS: which certificates, taken up when they change, and tickets that every node opens.

use std::sync::Arc;

use anyhow::{Context, Result};
use ncore_identity::ClusterKey;
use ncore_serving::{CertificateFiles, CertificateWatch, Resumption, ServingMetrics};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::config::{ListenConfig, SessionTickets};

/// The certificates of a node, if it is to speak TLS.
pub(super) fn certificates(
    config: &ListenConfig,
    cluster_key: &ClusterKey,
    metrics: Arc<ServingMetrics>,
) -> Result<Option<CertificateWatch>> {
    let (Some(chain), Some(key)) = (config.tls_cert.clone(), config.tls_key.clone()) else { return Ok(None) };
    let files = CertificateFiles { chain, key, directory: config.certificates.clone() };
    let resumption = match config.session_tickets {
        SessionTickets::Shared => {
            let key = cluster_key.clone();
            Resumption::Shared(Arc::new(move |epoch: u64| *key.derive(TICKETS, &epoch.to_be_bytes())))
        }
        SessionTickets::Own => Resumption::Own,
        SessionTickets::Off => Resumption::Off,
    };
    Ok(Some(CertificateWatch::open(files, resumption, metrics).context("cannot use the certificates for listen.https")?))
}

/// Has certificates read again at each SIGHUP, which without this would end the process.
pub(super) fn reload_at_hangup(shutdown: CancellationToken) -> Result<Arc<Notify>> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let reload = Arc::new(Notify::new());
    tokio::spawn({
        let reload = Arc::clone(&reload);
        shutdown.run_until_cancelled_owned(async move {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP: reading the certificates again");
                reload.notify_one();
            }
        })
    });
    Ok(reload)
}

/// What the keys of tickets are derived for.
const TICKETS: &str = "tls session tickets";

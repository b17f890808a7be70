//! The two ends of a handshake, each checking the other by [`Trust`].
//!
//! rustls hands over the certificates; the answer names what is wrong in words of this crate, inside a rustls error, which
//! is what the log of the refusing side shows. The other side sees an alert and no reason.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::VerifyError;
use crate::tls::IdentityHandle;
use crate::trust::{self, Trust, provider};

/// Who is to answer a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpectedPeer {
    /// That node and no other.
    Node(u64),
    /// Any node of the cluster.
    AnyMember,
}

impl ExpectedPeer {
    pub(crate) fn node_id(self) -> Option<u64> {
        match self {
            Self::Node(node_id) => Some(node_id),
            Self::AnyMember => None,
        }
    }

    /// A name to pass where a TLS connector asks for one. It is neither sent nor relied on: the configuration itself
    /// knows whom it expects.
    #[must_use]
    pub fn server_name(self) -> ServerName<'static> {
        match self {
            Self::Node(node_id) => trust::server_name(node_id),
            Self::AnyMember => ServerName::try_from("member.ncore.internal").expect("a fixed name"),
        }
    }
}

/// Whose authorities count.
#[derive(Debug)]
pub(crate) enum TrustSource {
    /// Those of this node's identity, as it is when the handshake happens.
    Node(IdentityHandle),
    /// That of a join token.
    Token(Arc<Trust>),
}

impl TrustSource {
    fn current(&self) -> Arc<Trust> {
        match self {
            Self::Node(handle) => handle.current().trust().clone(),
            Self::Token(trust) => trust.clone(),
        }
    }
}

/// Signatures are the provider's business, and checked in the same way at either end. The traits of the ends have these methods in
/// common and no trait above them.
macro_rules! signatures_by_the_provider {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            provider().signature_verification_algorithms.supported_schemes()
        }
    };
}

/// The client's view of a server.
#[derive(Debug)]
pub(crate) struct ServerCheck {
    pub(crate) trust: TrustSource,
    pub(crate) expected: ExpectedPeer,
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust
            .current()
            .verify_server(self.expected.node_id(), end_entity, intermediates, now)
            .map(|_| ServerCertVerified::assertion())
            .map_err(refusal)
    }

    signatures_by_the_provider!();
}

/// The server's view of a client: it may have no certificate, but if it shows one, that must hold.
#[derive(Debug)]
pub(crate) struct ClientCheck(pub(crate) IdentityHandle);

impl ClientCertVerifier for ClientCheck {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: a node has one certificate and always sends it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.current().trust().verify_client(end_entity, intermediates, now).map(|_| ClientCertVerified::assertion()).map_err(refusal)
    }

    signatures_by_the_provider!();
}

/// A refusal as rustls carries it. What webpki found stays as it is, so that the alert fits (expired, unknown authority).
fn refusal(error: VerifyError) -> Error {
    match error {
        VerifyError::Untrusted { reason } => reason,
        other => Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(other)))),
    }
}

//! A machine becomes a node: it shows a join token to a node of the cluster and gets its id, its certificate and the cluster key.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use ncore_identity::{
    CertificateDer, CertificateRequest, ClusterKey, EntropyError, IdentityError, InstallError, IssueError, JoinToken, NodeIdentity,
    SealError, join_client_config,
};
use ncore_model::{NodeId, SchemaRange};
use ncore_proto::cluster::v1::{self as wire, cluster_client::ClusterClient};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::{
    hub::FirstHubs,
    peers::{PeerError, joining_channel},
    protocol::PROTOCOL,
};

/// How long one endpoint may take to answer. It waits for the leader.
const TRY_TIMEOUT: Duration = Duration::from_secs(25);
const BACKOFF: Duration = Duration::from_millis(500);

/// What a machine says of itself when it joins.
#[derive(Debug, Clone)]
pub struct Joiner {
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// `host:port` that other nodes dial.
    pub cluster_address: String,
    /// Public base URL.
    pub http_address: String,
    /// The schema levels that it can apply.
    pub schema: SchemaRange,
    /// What to dial in place of an advertised address.
    pub dial: HashMap<String, String>,
}

/// A machine that has become a node.
pub struct Joined {
    /// Whom it may follow, to be saved before the identity: a node that has one and not the other knows nobody.
    pub first_hubs: FirstHubs,
    /// Its identity, to be saved before anything else happens.
    pub identity: NodeIdentity,
}

/// Why a machine could not become a node.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The certificate request or its proof could not be made: this machine has no randomness.
    #[error("a certificate request cannot be made")]
    Request(#[source] IssueError),
    /// As above.
    #[error("the proof of the join token cannot be made")]
    Proof(#[source] EntropyError),
    /// The token's own certificate is not one.
    #[error("the join token does not carry the certificate of a cluster; make a new one")]
    Token(#[source] IdentityError),
    /// The cluster refuses, and asking again does not help.
    #[error("the cluster refuses: {0}")]
    Refused(String),
    /// No node of the token's list answered in time.
    #[error("no node of the join token is in reach (last: {last}); is the address right, and is the cluster up?")]
    Unreachable {
        /// What the last one said.
        last: String,
    },
    /// The answer does not fit the request.
    #[error("the cluster's answer does not fit")]
    Answer(#[source] InstallError),
    /// The cluster key in the answer is not one.
    #[error("the cluster's answer has no cluster key")]
    Key(#[source] SealError),
}

/// Joins the cluster of `token`, trying its nodes in turn until `deadline` is over.
///
/// # Errors
/// [`JoinError`].
pub async fn join(token: &JoinToken, joiner: &Joiner, deadline: Duration) -> Result<Joined, JoinError> {
    let request = CertificateRequest::generate().map_err(JoinError::Request)?;
    let proof = token.prove(request.der()).map_err(JoinError::Proof)?;
    let terms = token.terms();
    let config = join_client_config(&terms.ca_cert, terms.cluster_id).map_err(JoinError::Token)?;
    let message = wire::JoinRequest {
        token_id: token.id().0.to_vec().into(),
        nonce: proof.nonce().to_vec().into(),
        proof: proof.signature().to_vec().into(),
        csr_der: request.der().to_vec().into(),
        name: joiner.name.clone(),
        region: joiner.region.clone(),
        cluster_address: joiner.cluster_address.clone(),
        http_address: joiner.http_address.clone(),
        schema_min: joiner.schema.min,
        schema_max: joiner.schema.max,
        software: env!("CARGO_PKG_VERSION").to_owned(),
        request_id: uuid::Uuid::now_v7().as_bytes().to_vec().into(),
        protocol_min: *PROTOCOL.start(),
        protocol_max: *PROTOCOL.end(),
    };
    let end = Instant::now() + deadline;
    let mut last = String::from("none");
    loop {
        for endpoint in &terms.endpoints {
            let channel = match joining_channel(endpoint, &joiner.dial, config.clone()) {
                Ok(channel) => channel,
                Err(error @ (PeerError::Address { .. } | PeerError::Unknown(_) | PeerError::State(_))) => {
                    last = error.to_string();
                    continue;
                }
            };
            match timeout(TRY_TIMEOUT, ClusterClient::new(channel).join(message.clone())).await {
                Ok(Ok(reply)) => return accept(request, &reply.into_inner(), token),
                Ok(Err(status)) if is_final(status.code()) => return Err(JoinError::Refused(status.message().to_owned())),
                Ok(Err(status)) => last = format!("{endpoint}: {}", status.message()),
                Err(_) => last = format!("{endpoint}: no answer"),
            }
        }
        if Instant::now() + BACKOFF > end {
            return Err(JoinError::Unreachable { last });
        }
        sleep(BACKOFF).await;
    }
}

fn accept(request: CertificateRequest, reply: &wire::JoinReply, token: &JoinToken) -> Result<Joined, JoinError> {
    let certificate = CertificateDer::from(reply.certificate_der.to_vec());
    let key = ClusterKey::from_slice(&reply.cluster_key).map_err(JoinError::Key)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let identity = NodeIdentity::from_join(request, certificate, token.terms(), key, now).map_err(JoinError::Answer)?;
    let voters = reply.members.iter().filter(|member| member.voter);
    let first_hubs = FirstHubs::new(voters.map(|member| (NodeId(member.node_id), member.cluster_address.clone())).collect());
    Ok(Joined { first_hubs, identity })
}

fn is_final(code: Code) -> bool {
    matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition | Code::InvalidArgument)
}

//! Machines of this process that have joined the cluster and are nothing but one end of a protocol.

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use ncore_control::join;
use ncore_identity::{ExpectedPeer, IdentityHandle, JoinToken, client_config, server_config};
use ncore_model::NodeId;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{
    member::{DEADLINE, joiner},
    voters::Voters,
};

/// A machine with an identity of the cluster, and a port.
pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) cluster_id: [u8; 16],
    pub(crate) address: String,
    identity: IdentityHandle,
    listener: TcpListener,
}

impl Machine {
    /// Lets so many machines join as edges.
    pub(crate) async fn join(voters: &Voters, count: usize) -> Result<Vec<Self>> {
        let token = JoinToken::decode(&voters.token(&[], count).await?).context("the join token")?;
        let mut machines = Vec::with_capacity(count);
        for at in 1..=count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let port = listener.local_addr()?.port();
            let joined = join(&token, &joiner(&format!("machine-{at}"), port), DEADLINE).await?;
            machines.push(Self {
                id: NodeId(joined.identity.node_id()),
                cluster_id: joined.identity.cluster_id().0,
                address: format!("127.0.0.1:{port}"),
                identity: IdentityHandle::new(joined.identity),
                listener,
            });
        }
        Ok(machines)
    }

    /// A connection of this machine to a node.
    pub(crate) fn dial(&self, node: NodeId, address: &str) -> Result<Channel> {
        let expected = ExpectedPeer::Node(node.0);
        let (connector, address) = (TlsConnector::from(client_config(&self.identity, expected)), address.to_owned());
        // The scheme is http because TLS is the connector's own business.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(endpoint.connect_with_connector_lazy(service_fn(move |_| {
            let (connector, address) = (connector.clone(), address.clone());
            async move {
                let tcp = TcpStream::connect(&address).await?;
                tcp.set_nodelay(true)?;
                connector.connect(expected.server_name(), tcp).await.map(TokioIo::new)
            }
        })))
    }

    /// The connections that other nodes make to this machine.
    pub(crate) fn incoming(self) -> ReceiverStream<std::io::Result<TlsStream<TcpStream>>> {
        let (accepted, incoming) = mpsc::channel(16);
        let tls = TlsAcceptor::from(server_config(&self.identity));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = self.listener.accept().await {
                let (tls, accepted) = (tls.clone(), accepted.clone());
                tokio::spawn(async move {
                    // One that fails is the caller's business, who tries again.
                    if tcp.set_nodelay(true).is_ok()
                        && let Ok(stream) = tls.accept(tcp).await
                    {
                        let _ = accepted.send(Ok(stream)).await;
                    }
                });
            }
        });
        ReceiverStream::new(incoming)
    }
}

//! One HTTP/2 connection to a member of etcd, and the two calls of its API that are needed.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Context, Result};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tonic::{
    Request,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// `etcdserverpb.PutRequest`, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`
#[derive(Clone, PartialEq, Message)]
struct PutResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
}

/// `etcdserverpb.ResponseHeader`
#[derive(Clone, PartialEq, Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
    #[prost(int64, tag = "3")]
    revision: i64,
}

/// `etcdserverpb.StatusRequest`
#[derive(Clone, PartialEq, Message)]
struct StatusRequest {}

/// `etcdserverpb.StatusResponse`
#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

/// A connection to a member, made when it is first used.
pub(super) struct Connection(Channel);

impl Connection {
    pub(super) fn open(port: u16, tls: Arc<ClientConfig>) -> Result<Self> {
        let connector = TlsConnector::from(tls);
        let connect = service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::IpAddress(std::net::IpAddr::from(Ipv4Addr::LOCALHOST).into());
                connector.connect(name, tcp).await.map(TokioIo::new)
            }
        });
        // The scheme is http because TLS is the connector's own business.
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
        Ok(Self(endpoint.connect_with_connector_lazy(connect)))
    }

    /// Whether the member leads.
    pub(super) async fn leads(&self) -> Result<bool> {
        let status: StatusResponse = self.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await?;
        Ok(status.leader != 0 && status.header.is_some_and(|header| header.member_id == status.leader))
    }

    pub(super) async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let put: PutResponse = self.call("/etcdserverpb.KV/Put", PutRequest { key, value }).await?;
        put.header.filter(|header| header.revision > 0).context("etcd acknowledged nothing")?;
        Ok(())
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await?;
        let answer = grpc.unary(Request::new(request), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }
}

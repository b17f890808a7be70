//! The access log between nodes: a service that gives this node's, and the way to those of others.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use ncore_control::Peers;
use ncore_domain::{FoundLog, LogNode, LogPeerError, LogPeers};
use ncore_model::NodeId;
use ncore_proto::logs::v1::{
    FindReply, FindRequest, Position, Record, Statuses,
    access_logs_client::AccessLogsClient,
    access_logs_server::{AccessLogs, AccessLogsServer},
    record::Cache,
};
use ncore_telemetry::{AccessHead, AccessLog, AccessPosition, AccessQuery, AccessRecord, CacheUse, PathClass};
use tonic::{Request, Response, Status};

/// The most records in a reply: a page of the API, and one more.
const RECORDS_MAX: u32 = 1_001;

/// Gives the log of this node to other nodes. Who may call is checked by the layer that checks the certificates of the cluster port.
pub(super) struct LogService {
    node: NodeId,
    log: Arc<AccessLog>,
}

impl LogService {
    pub(super) fn new(node: NodeId, log: Arc<AccessLog>) -> AccessLogsServer<Self> {
        AccessLogsServer::new(Self { node, log })
    }
}

#[tonic::async_trait]
impl AccessLogs for LogService {
    async fn find(&self, request: Request<FindRequest>) -> Result<Response<FindReply>, Status> {
        let (query, max) = query_of(request.into_inner());
        let found = self.log.find(&query, self.node.0, usize::try_from(max).unwrap_or(0));
        let records = found.iter().map(to_wire).collect();
        Ok(Response::new(FindReply { records, oldest_us: self.log.oldest_us() }))
    }
}

/// The logs of the other nodes.
pub(super) struct OtherLogs(pub(super) Arc<Peers>);

impl LogPeers for OtherLogs {
    fn others(&self) -> Vec<LogNode> {
        let nodes = self.0.nearest_first().unwrap_or_else(|error| {
            tracing::error!(%error, "the other nodes cannot be read from the state");
            Vec::new()
        });
        nodes.into_iter().map(|node| LogNode { id: node.id, name: node.name.into() }).collect()
    }

    fn find<'a>(&'a self, node: NodeId, query: &'a AccessQuery, max: usize) -> BoxFuture<'a, Result<FoundLog, LogPeerError>> {
        Box::pin(async move {
            let channel = self.0.channel(node).map_err(|error| LogPeerError { node, source: error.into() })?;
            let request = request_of(query, u32::try_from(max).unwrap_or(RECORDS_MAX));
            let reply = AccessLogsClient::new(channel).find(request).await.map_err(|error| LogPeerError { node, source: error.into() })?;
            let FindReply { mut records, oldest_us } = reply.into_inner();
            records.truncate(max);
            Ok(FoundLog { records: records.iter().map(of_wire).collect(), oldest_us })
        })
    }
}

fn request_of(query: &AccessQuery, max: u32) -> FindRequest {
    let AccessQuery { client, from_us, until_us, statuses, prefix, before } = query.clone();
    FindRequest {
        client,
        from_us,
        until_us,
        statuses: statuses.map(|(first, last)| Statuses { first: first.into(), last: last.into() }),
        prefix,
        before: before.map(|AccessPosition { ended_us, node, number }| Position { ended_us, node, number }),
        max,
    }
}

fn query_of(request: FindRequest) -> (AccessQuery, u32) {
    let FindRequest { client, from_us, until_us, statuses, prefix, before, max } = request;
    let status = |status: u32| u16::try_from(status).unwrap_or(u16::MAX);
    let query = AccessQuery {
        client,
        from_us,
        until_us,
        statuses: statuses.map(|Statuses { first, last }| (status(first), status(last))),
        prefix,
        before: before.map(|Position { ended_us, node, number }| AccessPosition { ended_us, node, number }),
    };
    (query, max.min(RECORDS_MAX))
}

fn to_wire(record: &AccessRecord) -> Record {
    let cache = match record.cache {
        CacheUse::None => Cache::Unspecified,
        CacheUse::Hit => Cache::Hit,
        CacheUse::Miss => Cache::Miss,
    };
    Record {
        number: record.number,
        ended_us: record.ended_us,
        took_us: record.took_us,
        bytes: record.bytes,
        status: record.status.into(),
        remote: record.remote.to_string(),
        cache: cache.into(),
        client: record.client.as_deref().map(str::to_owned),
        method: record.method().to_owned(),
        host: record.host().to_owned(),
        path: record.path().to_owned(),
        request_id: record.request_id().to_owned(),
        agent: record.agent().to_owned(),
    }
}

/// Texts are bounded here again: another node may be of another version.
fn of_wire(wire: &Record) -> AccessRecord {
    let head = AccessHead {
        method: &wire.method,
        host: &wire.host,
        path: &wire.path,
        request_id: &wire.request_id,
        agent: wire.agent.as_bytes(),
        remote: wire.remote.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        // What is counted for anybody is counted where the request was answered.
        class: PathClass::Node,
    };
    AccessRecord {
        number: wire.number,
        ended_us: wire.ended_us,
        took_us: wire.took_us,
        bytes: wire.bytes,
        status: u16::try_from(wire.status).unwrap_or(0),
        cache: match wire.cache() {
            Cache::Unspecified => CacheUse::None,
            Cache::Hit => CacheUse::Hit,
            Cache::Miss => CacheUse::Miss,
        },
        client: wire.client.as_deref().map(Arc::from),
        ..AccessRecord::new(&head)
    }
}

#[cfg(test)]
mod tests {
    use super::{of_wire, query_of, request_of, to_wire};
    use ncore_telemetry::{AccessHead, AccessPosition, AccessQuery, AccessRecord, CacheUse, PathClass};
    use std::net::{IpAddr, Ipv6Addr};

    #[test]
    fn nothing_is_lost_on_the_wire() {
        let head = AccessHead {
            method: "GET",
            host: "node",
            path: "/pub/x",
            request_id: "id",
            agent: b"curl/8",
            remote: IpAddr::V6(Ipv6Addr::LOCALHOST),
            class: PathClass::Node,
        };
        let record = AccessRecord {
            number: 1,
            ended_us: 2,
            took_us: 3,
            bytes: 4,
            status: 206,
            cache: CacheUse::Miss,
            client: Some("cl_1".into()),
            ..AccessRecord::new(&head)
        };
        assert_eq!(of_wire(&to_wire(&record)), record);
        let full = AccessQuery {
            client: Some("cl_1".to_owned()),
            from_us: Some(1),
            until_us: Some(2),
            statuses: Some((400, 499)),
            prefix: Some("/pub".to_owned()),
            before: Some(AccessPosition { ended_us: 1, node: 2, number: 3 }),
        };
        for query in [full, AccessQuery::default()] {
            assert_eq!(query_of(request_of(&query, 5)), (query, 5));
        }
        assert_eq!(query_of(request_of(&AccessQuery::default(), u32::MAX)).1, 1_001);
    }
}

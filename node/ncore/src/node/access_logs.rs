//! The access log between nodes: a service that gives this node's, and the way to those of others.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use ncore_control::Peers;
use ncore_domain::{FoundLog, LogNode, LogPeerError, LogPeers, SinceLog};
use ncore_model::NodeId;
use ncore_proto::logs::v1::{
    FindReply, FindRequest, Position, Record, SinceReply, SinceRequest, Statuses, Zone,
    access_logs_client::AccessLogsClient,
    access_logs_server::{AccessLogs, AccessLogsServer},
    record::Cache,
};
use ncore_telemetry::{
    AccessHead, AccessLog, AccessPosition, AccessQuery, AccessRecord, CacheUse, PathClass, Protocol, Tier, ZoneAccess, ZoneAsked,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tonic::{Request, Response, Status};

/// The most records in a reply: a page of the API, and one more.
const RECORDS_MAX: u32 = 1_001;
/// How long this node waits for something to tell before it answers that there is nothing.
const WAIT: Duration = Duration::from_secs(2);
/// How many may wait so.
const WAITING_MAX: usize = 4_096;

/// Gives the log of this node to other nodes. Who may call is checked by the layer that checks the certificates of the cluster port.
pub(super) struct LogService {
    node: NodeId,
    log: Arc<AccessLog>,
    waiting: Semaphore,
}

impl LogService {
    pub(super) fn new(node: NodeId, log: Arc<AccessLog>) -> AccessLogsServer<Self> {
        AccessLogsServer::new(Self { node, log, waiting: Semaphore::new(WAITING_MAX) })
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

    async fn since(&self, request: Request<SinceRequest>) -> Result<Response<SinceReply>, Status> {
        let _turn = self.waiting.try_acquire().map_err(|_| Status::resource_exhausted("as many wait for news of the log as may"))?;
        let SinceRequest { wanted, after } = request.into_inner();
        let (query, _) = query_of(wanted.unwrap_or_default());
        let mut newest = self.log.watch();
        // Numbers begin anew when the node starts: who asks for more than there was has those of the process before.
        let now = self.log.newest();
        let mut after = after.map_or(now, |after| if after > now { 0 } else { after });
        let end = Instant::now() + WAIT;
        loop {
            // Before the look, so that what comes during it wakes.
            newest.mark_unchanged();
            let Ok(followed) = self.log.since(after, &query, self.node.0) else {
                let newest = self.log.newest();
                return Ok(Response::new(SinceReply { records: Vec::new(), after: newest, missed: newest - after }));
            };
            after = followed.after;
            let is_over = followed.records.is_empty() && !followed.more && !matches!(timeout_at(end, newest.changed()).await, Ok(Ok(())));
            if is_over || !followed.records.is_empty() || Instant::now() >= end {
                return Ok(Response::new(SinceReply { records: followed.records.iter().map(to_wire).collect(), after, missed: 0 }));
            }
        }
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

    fn since<'a>(&'a self, node: NodeId, after: Option<u64>, query: &'a AccessQuery) -> BoxFuture<'a, Result<SinceLog, LogPeerError>> {
        Box::pin(async move {
            let channel = self.0.channel(node).map_err(|error| LogPeerError { node, source: error.into() })?;
            let request = SinceRequest { wanted: Some(request_of(query, 0)), after };
            let reply = AccessLogsClient::new(channel).since(request).await.map_err(|error| LogPeerError { node, source: error.into() })?;
            let SinceReply { records, after, missed } = reply.into_inner();
            Ok(SinceLog { records: records.iter().map(of_wire).collect(), after, missed })
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
        CacheUse::Stale => Cache::Stale,
        CacheUse::Revalidated => Cache::Revalidated,
        CacheUse::Bypass => Cache::Bypass,
        CacheUse::Error => Cache::Error,
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
        zone: record.zone.as_deref().map(zone_to_wire),
    }
}

fn zone_to_wire(access: &ZoneAccess) -> Zone {
    let asked = access.asked.as_ref();
    Zone {
        id: access.zone.to_be_bytes().to_vec().into(),
        head_us: access.head_us,
        protocol: PROTOCOLS.iter().find(|(_, protocol)| *protocol == access.protocol).map_or(0, |(number, _)| *number),
        secure: access.is_secure,
        collapsed: access.is_collapsed,
        origin: asked.map(|asked| asked.origin.to_string()),
        retries: asked.map_or(0, |asked| asked.retries),
        reused: asked.is_some_and(|asked| asked.is_reused),
        range: access.range.as_deref().map(str::to_owned),
        tier: TIERS.iter().find(|(_, tier)| Some(*tier) == access.tier).map_or(0, |(number, _)| *number),
        tier_node: access.tier_node,
    }
}

fn zone_of_wire(wire: &Zone) -> ZoneAccess {
    let protocol = PROTOCOLS.iter().find(|(number, _)| *number == wire.protocol).map_or(Protocol::Http11, |(_, protocol)| *protocol);
    // As long as that of a URL may be, and then some.
    let origin = wire.origin.as_deref().map(|origin| origin.chars().take(300).collect::<String>());
    let asked = origin.map(|origin| ZoneAsked { origin: origin.into(), retries: wire.retries, is_reused: wire.reused });
    ZoneAccess {
        zone: wire.id.as_ref().try_into().map_or(0, u128::from_be_bytes),
        head_us: wire.head_us,
        protocol,
        is_secure: wire.secure,
        is_collapsed: wire.collapsed,
        tier: TIERS.iter().find(|(number, _)| *number == wire.tier).map(|(_, tier)| *tier),
        tier_node: wire.tier_node,
        asked,
        range: None,
    }
    .with_range(wire.range.as_deref())
}

const PROTOCOLS: [(u32, Protocol); 4] = [(10, Protocol::Http10), (11, Protocol::Http11), (20, Protocol::Http2), (30, Protocol::Http3)];
const TIERS: [(u32, Tier); 4] = [(1, Tier::Own), (2, Tier::Region), (3, Tier::Shield), (4, Tier::Origin)];

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
            Cache::Stale => CacheUse::Stale,
            Cache::Revalidated => CacheUse::Revalidated,
            Cache::Bypass => CacheUse::Bypass,
            Cache::Error => CacheUse::Error,
        },
        client: wire.client.as_deref().map(Arc::from),
        zone: wire.zone.as_ref().map(|zone| Box::new(zone_of_wire(zone))),
        ..AccessRecord::new(&head)
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessLogs, LogService, of_wire, query_of, request_of, to_wire};
    use ncore_model::NodeId;
    use ncore_proto::logs::v1::SinceRequest;
    use ncore_telemetry::{
        AccessHead, AccessLog, AccessPosition, AccessQuery, AccessRecord, AccessWriter, CacheUse, PathClass, Protocol, Tier, ZoneAccess,
        ZoneAsked,
    };
    use std::{
        net::{IpAddr, Ipv6Addr},
        sync::Arc,
    };
    use tokio::sync::Semaphore;
    use tonic::Request;

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
        let tiers = Tier::ALL.map(Some).into_iter().chain([None]).cycle();
        for ((cache, protocol), tier) in CacheUse::ALL.into_iter().zip(Protocol::ALL.into_iter().cycle()).zip(tiers) {
            let asked = Some(ZoneAsked { origin: "origin:80".into(), retries: 2, is_reused: true });
            let access = ZoneAccess {
                zone: 9,
                head_us: 8,
                protocol,
                is_secure: true,
                is_collapsed: true,
                tier,
                tier_node: tier.map(|_| 70_001),
                asked,
                range: None,
            };
            let zone = Some(Box::new(access.with_range(Some("bytes=0-"))));
            let record = AccessRecord { cache, zone, ..record.clone() };
            assert_eq!(of_wire(&to_wire(&record)), record);
        }
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

    /// A follower that was told of numbers of an earlier process goes on with what this one has.
    #[tokio::test]
    async fn what_came_since_is_told_and_waited_for() {
        let log = Arc::new(AccessLog::new(3));
        let _writer = AccessWriter::start(Arc::clone(&log), None, "one").expect("a thread");
        let service = LogService { node: NodeId(1), log: Arc::clone(&log), waiting: Semaphore::new(1) };
        let record = || {
            let head = AccessHead {
                method: "GET",
                host: "node",
                path: "/pub/x",
                request_id: "id",
                agent: b"",
                remote: IpAddr::V6(Ipv6Addr::LOCALHOST),
                class: PathClass::Node,
            };
            log.record(AccessRecord::new(&head));
        };
        let since = async |after| {
            let reply = service.since(Request::new(SinceRequest { wanted: None, after })).await.expect("a reply").into_inner();
            (reply.records.len(), reply.after, reply.missed)
        };
        let (told, ()) = tokio::join!(since(None), async {
            tokio::task::yield_now().await;
            record();
        });
        assert_eq!(told, (1, 1, 0), "it waits for the first that comes from now on");
        assert_eq!(since(Some(7)).await, (1, 1, 0), "there never was a seventh");
        assert_eq!(since(Some(1)).await, (0, 1, 0), "it does not wait for ever");
        let mut newest = log.watch();
        for number in 2..=6 {
            record();
            newest.wait_for(|newest| *newest == number).await.expect("it is taken");
        }
        assert_eq!(since(Some(1)).await, (0, 6, 5), "the second and the third are gone, and the others are not told behind a gap");
        let held = service.waiting.acquire().await.expect("a turn");
        let refused = service.since(Request::new(SinceRequest::default())).await.expect_err("as many wait as may");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        drop(held);
    }
}

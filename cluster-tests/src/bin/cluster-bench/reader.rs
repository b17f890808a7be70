//! A follower of a hub, reduced to the protocol: it takes the entries, says how far it is and pings as an edge does, and applies
//! nothing.

use std::{pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use ncore_model::NodeId;
use ncore_proto::hub::v1::{self as wire, down::Message as Down, hub_client::HubClient, up::Message as Up};
use tokio::{sync::mpsc, time::interval};
use tokio_stream::wrappers::ReceiverStream;

use crate::{machine::Machine, voters::REGION};

/// An edge says how far it is once it has synced its state: this often at most.
const ACK: Duration = Duration::from_millis(20);
/// An edge asks this often whether its view is fresh.
const PING: Duration = Duration::from_secs(1);
/// The largest message of a stream, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// Follows `hub` from what it has now on. The task ends with an error only if the hub ends the stream.
pub(crate) async fn follow(machine: Machine, hub: NodeId, address: String) -> Result<tokio::task::JoinHandle<Result<()>>> {
    let mut client = HubClient::new(machine.dial(hub, &address)?).max_decoding_message_size(MAX_MESSAGE);
    let (up, messages) = mpsc::channel(64);
    send(&up, Up::Hello(hello(&machine))).await?;
    let mut down = client.sync(ReceiverStream::new(messages)).await?.into_inner();
    let welcome = match down.message().await?.and_then(|down| down.message) {
        Some(Down::Welcome(welcome)) => welcome,
        other => bail!("no welcome but {other:?}"),
    };
    let lineage = welcome.lineage;
    let ack = move |applied| {
        let applied = Some(wire::Revision { lineage, index: applied });
        Up::Ack(wire::Ack { applied, subtree_applied: applied, subtree_count: 1, laggards: Vec::new() })
    };
    send(&up, Up::Follow(wire::Follow { lineage, next: welcome.next })).await?;
    let (mut last, mut said) = (welcome.next.saturating_sub(1), 0);
    Ok(tokio::spawn(async move {
        let (mut acks, mut pings, mut seq) = (interval(ACK), interval(PING), 0);
        loop {
            let message = pin!(down.message());
            tokio::select! {
                message = message => match message?.context("the hub ended the stream")?.message {
                    Some(Down::Entries(entries)) => last = entries.last,
                    Some(Down::GoAway(away)) => bail!("sent away: {}", away.reason),
                    Some(Down::Compacted(_)) => bail!("the hub lacks the entries"),
                    _ => {}
                },
                _ = acks.tick(), if said < last => {
                    said = last;
                    send(&up, ack(last)).await?;
                }
                _ = pings.tick(), if said > 0 => {
                    seq += 1;
                    send(&up, Up::Ping(wire::Ping { seq })).await?;
                }
            }
        }
    }))
}

fn hello(machine: &Machine) -> wire::Hello {
    wire::Hello {
        cluster_id: machine.cluster_id.to_vec().into(),
        node_id: machine.id.0,
        incarnation: 1,
        region: REGION.to_owned(),
        protocol_min: 1,
        protocol_max: 1,
        relay: false,
        voter: false,
        freshness_bound_ms: 5_000,
    }
}

async fn send(up: &mpsc::Sender<wire::Up>, message: Up) -> Result<()> {
    up.send(wire::Up { message: Some(message) }).await.context("the stream to the hub ended")
}

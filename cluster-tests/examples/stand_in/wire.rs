//! What nodes say to each other: one line and an answer for each connection.
//!
//! `ping` → `pong`; `has <sha256>` → `yes` or `no`; `get <sha256>` → the blob and the end of the stream;
//! `put <sha256> <length>`, and the blob → `done`. TLS is not here, so blobs are checked on arrival.

use crate::Node;
use crate::config::Config;
use crate::truth::Truth;
use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::client::sha256;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(crate) async fn serve(node: Arc<Node>) -> Result<()> {
    let listener = TcpListener::bind(&node.config.cluster).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let node = Arc::clone(&node);
        tokio::spawn(async move { answer(&node, stream).await });
    }
}

async fn answer(node: &Node, stream: TcpStream) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let reply = match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["ping"] => b"pong".to_vec(),
        ["has", wanted] if node.blobs.load(wanted).is_some() => b"yes".to_vec(),
        ["has", _] => b"no".to_vec(),
        ["get", wanted] => node.blobs.load(wanted).context("not here")?,
        ["put", wanted, length] => {
            let mut bytes = vec![0; length.parse()?];
            stream.read_exact(&mut bytes).await?;
            ensure!(sha256(&bytes) == wanted, "damaged on the way");
            node.blobs.store(wanted, &bytes)?;
            b"done".to_vec()
        }
        _ => bail!("what is {line:?}?"),
    };
    stream.write_all(&reply).await?;
    Ok(stream.shutdown().await?)
}

async fn ask(config: &Config, peer: &str, question: &[u8], patience: Duration) -> Result<Vec<u8>> {
    let asking = async {
        let mut stream = TcpStream::connect(config.dialled(peer)).await?;
        stream.write_all(question).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        anyhow::Ok(reply)
    };
    timeout(patience, asking).await?
}

/// The members that can be reached and can answer, this node included.
pub(crate) async fn reachable(node: &Node, truth: &Truth) -> BTreeSet<u64> {
    reachable_from(&node.config, Some(node.id), truth).await
}

pub(crate) async fn reachable_from(config: &Config, own: Option<u64>, truth: &Truth) -> BTreeSet<u64> {
    let pings = truth.members.iter().map(|(id, member)| async move {
        let pong = Some(*id) == own || ask(config, &member.cluster, b"ping\n", PING).await.is_ok_and(|reply| reply == b"pong");
        (pong && truth.is_member(*id)).then_some(*id)
    });
    join_all(pings).await.into_iter().flatten().collect()
}

/// Whether a peer holds a good copy; `None` if it does not answer.
pub(crate) async fn has(node: &Node, peer: &str, wanted: &str) -> Option<bool> {
    let reply = ask(&node.config, peer, format!("has {wanted}\n").as_bytes(), PING * 3).await.ok()?;
    Some(reply == b"yes")
}

/// Gives a copy to one other node.
pub(crate) async fn give(node: &Node, truth: &Truth, wanted: &str, bytes: &[u8]) -> bool {
    let mut message = format!("put {wanted} {}\n", bytes.len()).into_bytes();
    message.extend_from_slice(bytes);
    for (id, member) in &truth.members {
        if *id != node.id && truth.is_member(*id) {
            let reply = ask(&node.config, &member.cluster, &message, TRANSFER).await;
            if reply.is_ok_and(|reply| reply == b"done") {
                return true;
            }
        }
    }
    false
}

/// Gets a good copy from any other node and stores it.
pub(crate) async fn fetch(node: &Node, truth: &Truth, wanted: &str) -> Result<Vec<u8>> {
    for (id, member) in &truth.members {
        if *id != node.id && truth.is_member(*id) {
            let reply = ask(&node.config, &member.cluster, format!("get {wanted}\n").as_bytes(), TRANSFER).await;
            if let Ok(bytes) = reply
                && sha256(&bytes) == wanted
            {
                node.blobs.store(wanted, &bytes)?;
                return Ok(bytes);
            }
        }
    }
    bail!("no peer has {wanted}")
}

const PING: Duration = Duration::from_millis(300);
const TRANSFER: Duration = Duration::from_secs(2);

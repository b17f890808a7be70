//! The links between the nodes, with plain TCP in place of nodes: each end is an echo server.

use anyhow::{Result, ensure};
use cluster_tests::link::{Cut, Links};
use cluster_tests::{Seed, wait};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Three ends that echo, and the links between them.
struct Net {
    links: Links,
}

impl Net {
    async fn new() -> Result<Self> {
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(echo().await?);
        }
        Ok(Self { links: Links::open(&ends, Seed::new(1))? })
    }

    /// A connection that `from` opens to `to`.
    async fn connect(&self, from: usize, to: usize) -> Result<TcpStream> {
        let through = self.links.dial_table(from).nth(if to > from { to - 1 } else { to }).expect("a link").through;
        Ok(TcpStream::connect(through).await?)
    }

    async fn works(&self, from: usize, to: usize) -> Result<()> {
        let mut stream = self.connect(from, to).await?;
        exchange(&mut stream, b"hello").await
    }
}

async fn echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Ok(addr)
}

async fn exchange(stream: &mut TcpStream, text: &[u8]) -> Result<()> {
    stream.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    timeout(Duration::from_secs(30), stream.read_exact(&mut answer)).await??;
    ensure!(answer == text, "{answer:?}");
    Ok(())
}

/// Nothing arrives for a while, and the connection stays.
async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

async fn breaks(stream: &mut TcpStream) -> bool {
    matches!(timeout(Duration::from_secs(5), stream.read_u8()).await, Ok(Err(_)))
}

#[tokio::test]
async fn carries_bytes_and_the_end_of_the_stream() -> Result<()> {
    let net = Net::new().await?;
    let mut stream = net.connect(0, 1).await?;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut read, mut write) = stream.split();
    let receive = async {
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.map(|_| received)
    };
    let send = async {
        write.write_all(&sent).await?;
        write.shutdown().await
    };
    let (received, ()) = tokio::try_join!(receive, send)?;
    assert!(received == sent, "what came back is not what was sent");
    let flow = net.links.flow(0, 1);
    assert_eq!((flow.passed(), flow.held()), (3_000_000, 0));
    Ok(())
}

#[tokio::test]
async fn a_refusing_cut_breaks_and_refuses() -> Result<()> {
    let net = Net::new().await?;
    let mut existing = net.connect(0, 1).await?;
    exchange(&mut existing, b"before").await?;
    net.links.cut(1, 0, Cut::Refused);
    assert!(breaks(&mut existing).await, "the connection goes on");
    // The reset may arrive before this end has seen that it is connected.
    if let Ok(mut fresh) = net.connect(0, 1).await {
        assert!(breaks(&mut fresh).await, "a new connection is accepted");
    }
    net.works(0, 2).await?;
    net.links.heal_all();
    net.works(0, 1).await
}

#[tokio::test]
async fn a_silent_cut_holds_everything_and_heals_without_loss() -> Result<()> {
    let net = Net::new().await?;
    let mut existing = net.connect(0, 1).await?;
    exchange(&mut existing, b"before").await?;
    net.links.isolate(0, Cut::Silent);
    existing.write_all(b"during").await?;
    let mut fresh = net.connect(0, 2).await?;
    fresh.write_all(b"fresh").await?;
    assert!(is_silent(&mut existing).await && is_silent(&mut fresh).await);
    wait::until(Duration::from_secs(30), "the bytes to be under way", || async { (net.links.flow(0, 1).held() > 0).then_some(()) }).await?;
    net.links.heal_all();
    let mut answer = [0; 6];
    existing.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"during");
    let mut answer = [0; 5];
    fresh.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"fresh");
    Ok(())
}

#[tokio::test]
async fn a_one_way_cut_concerns_one_direction_whoever_dialled() -> Result<()> {
    let net = Net::new().await?;
    let mut from_zero = net.connect(0, 1).await?;
    let mut from_one = net.connect(1, 0).await?;
    exchange(&mut from_zero, b"a").await?;
    exchange(&mut from_one, b"a").await?;
    net.links.one_way(0, 1);
    let before = net.links.flow(1, 0).passed();
    from_zero.write_all(b"question").await?;
    from_one.write_all(b"question").await?;
    // The question of 1 reaches 0; its echo travels from 0 to 1 and does not arrive.
    wait::until(Duration::from_secs(30), "the question to arrive", || async {
        (net.links.flow(1, 0).passed() == before + 8).then_some(())
    })
    .await?;
    assert!(is_silent(&mut from_zero).await && is_silent(&mut from_one).await);
    let what = "the question of 0, and the echo to 1, to be held";
    wait::until(Duration::from_secs(30), what, || async { (net.links.flow(0, 1).held() == 16).then_some(()) }).await?;
    net.links.heal(0, 1);
    let mut answer = [0; 8];
    from_one.read_exact(&mut answer).await?;
    from_zero.read_exact(&mut answer).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_learns_of_a_death_through_a_silent_cut() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ends = [echo().await?, listener.local_addr()?];
    let net = Net { links: Links::open(&ends, Seed::new(1))? };
    let mut near = net.connect(0, 1).await?;
    let (far, _) = listener.accept().await?;
    net.links.one_way(1, 0);
    far.set_zero_linger()?;
    drop(far);
    assert!(is_silent(&mut near).await, "the reset crossed a silent link");
    near.write_all(b"x").await?;
    assert!(is_silent(&mut near).await, "the refusal crossed a silent link");
    net.links.heal_all();
    assert!(breaks(&mut near).await);
    Ok(())
}

#[tokio::test]
async fn delay_and_rate_take_their_time() -> Result<()> {
    let net = Net::new().await?;
    let mut stream = net.connect(0, 1).await?;
    exchange(&mut stream, b"warm").await?;
    net.links.delay(0, 1, Duration::from_millis(120));
    let start = Instant::now();
    exchange(&mut stream, b"slow").await?;
    let took = start.elapsed();
    assert!((Duration::from_millis(120)..Duration::from_secs(5)).contains(&took), "{took:?} one way");
    net.links.round_trip(Duration::from_millis(200));
    let start = Instant::now();
    exchange(&mut stream, b"slow").await?;
    assert!(start.elapsed() >= Duration::from_millis(200), "both ways");
    net.links.heal_all();
    net.links.limit(0, 1, 100_000);
    let start = Instant::now();
    exchange(&mut stream, &[7; 30_000]).await?;
    let took = start.elapsed();
    assert!((Duration::from_millis(280)..Duration::from_secs(5)).contains(&took), "30 kB at 100 kB/s took {took:?}");
    Ok(())
}

#[tokio::test]
async fn delay_does_not_limit_throughput() -> Result<()> {
    let net = Net::new().await?;
    let mut stream = net.connect(0, 1).await?;
    net.links.delay(0, 1, Duration::from_millis(300));
    let start = Instant::now();
    let (mut read, mut write) = stream.split();
    let payload = vec![1; 2 << 20];
    let mut echo = vec![0; payload.len()];
    tokio::try_join!(write.write_all(&payload), async { read.read_exact(&mut echo).await.map(drop) })?;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "2 MiB are under way at the same time, but took {took:?}");
    Ok(())
}

#[tokio::test]
async fn flips_bits() -> Result<()> {
    let net = Net::new().await?;
    let mut stream = net.connect(0, 1).await?;
    net.links.flip(0, 1, 1000);
    stream.write_all(&[0; 50_000]).await?;
    let mut echo = vec![0; 50_000];
    stream.read_exact(&mut echo).await?;
    let flipped = echo.iter().filter(|byte| **byte != 0).count();
    assert!((20..100).contains(&flipped), "{flipped} of about 50");
    assert_eq!(net.links.flips(), flipped as u64);
    net.links.heal_all();
    exchange(&mut stream, b"clean").await
}

#[tokio::test]
async fn partitions_and_resets() -> Result<()> {
    let net = Net::new().await?;
    net.links.partition(&[0], &[1, 2], Cut::Refused);
    assert!(net.works(0, 1).await.is_err() && net.works(2, 0).await.is_err());
    net.works(1, 2).await?;
    net.links.heal_all();
    let mut stream = net.connect(1, 2).await?;
    exchange(&mut stream, b"x").await?;
    net.links.reset(2, 1);
    assert!(breaks(&mut stream).await);
    net.works(1, 2).await
}

#[tokio::test]
async fn a_gate_loses_answers_only() -> Result<()> {
    let net = Net::new().await?;
    let target = echo().await?;
    let gate = net.links.gate(target)?;
    let addr: SocketAddr = gate.url().trim_start_matches("http://").parse()?;
    gate.answers().adjust(|settings| settings.open = false);
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"question").await?;
    assert!(is_silent(&mut stream).await);
    assert_eq!((gate.requests().passed(), gate.answers().held()), (8, 8), "the question has arrived, the answer has not");
    gate.answers().adjust(|settings| settings.open = true);
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await?;
    gate.answers().adjust(|settings| settings.open = false);
    stream.write_all(b"again").await?;
    wait::until(Duration::from_secs(30), "the answer to be on its way", || async {
        (gate.requests().passed() == 13 && gate.answers().held() == 5).then_some(())
    })
    .await?;
    gate.reset();
    assert!(breaks(&mut stream).await);
    wait::until(Duration::from_secs(30), "what was lost to be forgotten", || async { (gate.answers().held() == 0).then_some(()) }).await?;
    Ok(())
}

const SILENCE: Duration = Duration::from_millis(150);

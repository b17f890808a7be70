//! Viewers who are slow on purpose, or fast without one: others are served meanwhile.
//!
//! Each attack goes on for a while from many connections. All the time somebody asks, each time over a new connection, for something that is
//! cached and for something that is not: every one of these requests has to be answered, and how long it took is printed beside how long it
//! takes while nobody attacks. Afterwards the attack has left nothing behind.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::adverse::{Adverse, Script};
use cluster_tests::front::{Front, HOST, Kind, Quic, Secure, Viewer, fields, first_datagram, frame, request};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, wait};
use hdrhistogram::Histogram;
use quinn::VarInt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_some_attack() -> Result<()> {
    property("slow_attacks", Limit::minutes(4, 8), slow_attacks).await
}

/// What some do to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    None,
    /// A head of which a byte comes now and then.
    SlowHeads,
    /// A content of which a byte comes now and then, of a write that goes to the origin.
    SlowBodies,
    /// An answer that is not read.
    SlowReads,
    /// Streams that are reset as soon as they are opened.
    RapidResets,
    /// Fields without an end.
    Continuations,
    /// Settings and pings that ask for answers.
    Settings,
    /// Connections that are opened and closed.
    Handshakes,
    /// The same heads, answers and resets over HTTP/3.
    QuicSlowHeads,
    QuicSlowReads,
    QuicRapidResets,
    /// First datagrams, from as many ports as there are, after which nothing comes.
    QuicHandshakes,
}

const ATTACKS: [Attack; 12] = [
    Attack::None,
    Attack::SlowHeads,
    Attack::SlowBodies,
    Attack::SlowReads,
    Attack::RapidResets,
    Attack::Continuations,
    Attack::Settings,
    Attack::Handshakes,
    Attack::QuicSlowHeads,
    Attack::QuicSlowReads,
    Attack::QuicRapidResets,
    Attack::QuicHandshakes,
];

impl Attack {
    const fn is_over_quic(self) -> bool {
        matches!(self, Self::QuicSlowHeads | Self::QuicSlowReads | Self::QuicRapidResets | Self::QuicHandshakes)
    }
}

async fn slow_attacks(run: Run) -> Result<()> {
    let origin = Adverse::start(|asked| match asked.target.as_str() {
        "/large" => Script::answer(200, "Cache-Control: max-age=600\r\n", vec![b'x'; 10_000_000]),
        _ => Script::answer(200, "Cache-Control: max-age=600\r\n", format!("this is {}", asked.target)),
    })
    .await?;
    let secure = Secure::new(&[HOST])?;
    let front = Front::start(secure.listening(Cluster::builder().seed(run.seed())), &origin.url()).await?;
    for path in ["/large", "/small"] {
        ensure!(front.get(path).await?.whole);
    }
    let (many, time) = (run.scaled(300, 900), run.scaled(Duration::from_secs(3), Duration::from_secs(20)));
    run.say("| attack | connections | done | others: answered | cached: p50, p99, most (ms) | not cached: p50, p99, most (ms) | resident MiB more |");
    for attack in ATTACKS {
        let before = front.process()?;
        before.forget_peak()?;
        let done = std::sync::Arc::new(AtomicUsize::new(0));
        let mut attackers = JoinSet::new();
        let secure_address = &secure;
        let count = if attack == Attack::None { 0 } else { connections(attack, many) };
        let mut sinks = Vec::new();
        for _ in 0..count {
            sinks.push(prepare(attack, &front, secure_address).await.with_context(|| format!("{attack:?}"))?);
        }
        for sink in sinks {
            let done = std::sync::Arc::clone(&done);
            attackers.spawn(async move { strike(attack, sink, &done).await });
        }
        let others = others(&front, &secure, time, attack).await.with_context(|| format!("while there is {attack:?}"))?;
        attackers.shutdown().await;
        let more = front.process()?.peak.saturating_sub(before.resident);
        run.say(format_args!(
            "| {attack:?} | {count} | {} | {} of {} | {} | {} | {:.1} |",
            done.load(Ordering::Relaxed),
            others.answered,
            others.asked,
            shown(&others.cached),
            shown(&others.not_cached),
            more as f64 / 1_048_576.0
        ));
        ensure!(
            others.answered == others.asked,
            "{attack:?}: {} of {} were answered: {:?}",
            others.answered,
            others.asked,
            others.failures
        );
        ensure!(more <= MORE_AT_MOST, "{attack:?}: {} MiB more are resident", more >> 20);
        wait::until(SETTLE, "the attackers to be gone", || async {
            let figures = front.figures().await?;
            ensure!(figures.of("ncore_connections")? <= 2.0, "{} connections", figures.of("ncore_connections")?);
            Ok(())
        })
        .await?;
    }
    run.say(front.figures().await?.line("ncore_connection_events"));
    run.say(front.figures().await?.line("ncore_http3_connections"));
    front.cluster.shutdown().await
}

const fn connections(attack: Attack, many: usize) -> usize {
    match attack {
        Attack::SlowHeads | Attack::SlowBodies | Attack::SlowReads => many,
        // These are done by few, each as fast as it can.
        _ => 16,
    }
}

/// What an attacker has before it begins.
enum Sink {
    Plain(Viewer),
    Http2(Box<cluster_tests::front::Http2>),
    Address(std::net::SocketAddr),
    Quic(Quic),
    /// What is sent again and again, and where to.
    Datagram(Vec<u8>, std::net::SocketAddr),
}

async fn prepare(attack: Attack, front: &Front, secure: &Secure) -> Result<Sink> {
    Ok(match attack {
        Attack::RapidResets | Attack::Continuations | Attack::Settings => Sink::Http2(Box::new(secure.http2(HOST).await?)),
        Attack::Handshakes => Sink::Address(secure.address),
        Attack::QuicHandshakes => Sink::Datagram(first_datagram(secure, HOST).await?, secure.address),
        Attack::QuicSlowHeads | Attack::QuicRapidResets => Sink::Quic(Quic::connect(secure, HOST, 1 << 20).await?),
        Attack::QuicSlowReads => Sink::Quic(Quic::connect(secure, HOST, 1 << 10).await?),
        _ => Sink::Plain(Viewer::connect(front.address()).await?),
    })
}

/// Attacks until it is stopped, or cut off.
async fn strike(attack: Attack, sink: Sink, done: &AtomicUsize) -> Result<()> {
    match sink {
        Sink::Plain(mut viewer) => {
            let begin = match attack {
                Attack::SlowHeads => format!("GET /small HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: "),
                Attack::SlowBodies => format!("POST /write HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n"),
                _ => format!("GET /large HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
            };
            viewer.send(begin).await?;
            loop {
                sleep(Duration::from_millis(500)).await;
                if attack != Attack::SlowReads {
                    viewer.send("x").await?;
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
        Sink::Http2(mut connection) => {
            let head = fields(&[(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/small")]);
            for stream in (1..0x7FFF_FFFF).step_by(2) {
                let bytes = match attack {
                    Attack::RapidResets => {
                        [frame(Kind::Headers, 5, stream, &head), frame(Kind::Reset, 0, stream, &8_u32.to_be_bytes())].concat()
                    }
                    Attack::Continuations if stream == 1 => frame(Kind::Headers, 1, 1, &head),
                    Attack::Continuations => frame(Kind::Continuation, 0, 1, &fields(&[("x-more", "and more")])),
                    _ => [frame(Kind::Settings, 0, 0, &[0, 4, 0, 1, 0, 0]), frame(Kind::Ping, 0, 0, &[0; 8])].concat(),
                };
                connection.send(&bytes).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
        Sink::Address(address) => loop {
            // A greeting that is none, and nothing more.
            let mut viewer = Viewer::connect(address).await?;
            viewer.send([0x16, 0x03, 0x01, 0x40, 0x00, 0x01]).await?;
            done.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(20)).await;
        },
        Sink::Quic(quic) => over_quic(attack, &quic, done).await,
        Sink::Datagram(datagram, address) => loop {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket.send_to(&datagram, address).await?;
            done.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(2)).await;
        },
    }
}

/// Attacks over one connection, on as many streams as it may have.
async fn over_quic(attack: Attack, quic: &Quic, done: &AtomicUsize) -> Result<()> {
    let connection = &quic.connection;
    if attack == Attack::QuicRapidResets {
        loop {
            let (mut send, mut receive) = connection.open_bi().await?;
            send.write_all(&request(HOST, "/large")).await?;
            // Either may have ended by now.
            let _ = (send.reset(VarInt::from_u32(0x10c)), receive.stop(VarInt::from_u32(0x10c)));
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (mut streams, asked) = (Vec::new(), request(HOST, "/large"));
    loop {
        while let Ok(opened) = timeout(Duration::from_millis(100), connection.open_bi()).await {
            let (send, receive) = opened?;
            streams.push((send, receive, 0));
        }
        for (send, _, sent) in &mut streams {
            // Of a head that is slow a byte, and never the last one.
            let to = if attack == Attack::QuicSlowReads { asked.len() } else { (*sent + 1).min(asked.len() - 1) };
            // A stream that was cut off is as good as any.
            let _ = send.write_all(&asked[*sent..to]).await;
            if to == asked.len() {
                let _ = send.finish();
            }
            *sent = to;
            done.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What became of the requests of others.
struct Others {
    asked: usize,
    answered: usize,
    failures: Vec<String>,
    cached: Histogram<u64>,
    not_cached: Histogram<u64>,
}

async fn others(front: &Front, secure: &Secure, time: Duration, attack: Attack) -> Result<Others> {
    let mut others = Others { asked: 0, answered: 0, failures: Vec::new(), cached: Histogram::new(3)?, not_cached: Histogram::new(3)? };
    let started = Instant::now();
    while started.elapsed() < time {
        let new = format!("/new/{attack:?}/{}", others.asked);
        for path in ["/small", new.as_str()] {
            others.asked += 1;
            let asked = Instant::now();
            let got = front.get(path).await;
            let took = u64::try_from(asked.elapsed().as_micros())?;
            match got {
                Ok(got) if got.status == 200 && got.text() == format!("this is {path}") => {
                    others.answered += 1;
                    if path == new { &mut others.not_cached } else { &mut others.cached }.record(took)?;
                }
                Ok(got) => others.failures.push(format!("{path}: {} {:?} {}", got.status, got.fields, got.text())),
                Err(error) => others.failures.push(format!("{path}: {error:#}")),
            }
        }
        if attack == Attack::None || attack.is_over_quic() {
            others.asked += 1;
            let got = async { Quic::connect(secure, HOST, 1 << 20).await?.get(HOST, "/small").await };
            match got.await {
                Ok(content) if content == b"this is /small" => others.answered += 1,
                Ok(content) => others.failures.push(format!("over HTTP/3: {:?}", String::from_utf8_lossy(&content))),
                Err(error) => others.failures.push(format!("over HTTP/3: {error:#}")),
            }
        }
        others.failures.truncate(5);
        sleep(Duration::from_millis(10)).await;
    }
    Ok(others)
}

fn shown(times: &Histogram<u64>) -> String {
    let ms = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
    format!("{:.1}, {:.1}, {:.1}", ms(0.5), ms(0.99), ms(1.0))
}

/// How long a healthy node may take to forget those who are gone.
const SETTLE: Duration = Duration::from_secs(60);
/// Bytes that an attack may have a node take: what it allows a few hundred connections, or a few thousand streams.
const MORE_AT_MOST: u64 = 128 << 20;

//! A node whose other nodes do not answer: it never fails, does not wait for long, and keeps to its share.

use std::{net::IpAddr, sync::Arc, sync::atomic::Ordering, time::Duration};

use ncore_model::NodeId;
use tokio::{net::TcpListener, time::Instant};
use tonic::transport::{Channel, Endpoint};

use super::{Limiter, LimiterParts, PATIENCE};
use crate::{
    ask::Key,
    nodes::{BoxError, Nodes},
    policy::{Class, LimitSettings},
    rank,
    verdict::Verdict,
};

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// Node 1 of three.
struct Others {
    /// How the others are: not there, or there and silent.
    channel: Option<Channel>,
}

impl Nodes for Others {
    fn members(&self) -> Result<Vec<NodeId>, BoxError> {
        Ok(NODES.to_vec())
    }

    fn channel(&self, node: NodeId) -> Result<Channel, BoxError> {
        self.channel.clone().ok_or_else(|| format!("{node} is not there").into())
    }
}

fn limiter(channel: Option<Channel>) -> Limiter {
    let settings = LimitSettings { per_token: 30, purges: 6, anonymous: 4, window: Duration::from_secs(60), ..LimitSettings::default() };
    Limiter::new(LimiterParts { own: NODES[0], incarnation: 1, settings, nodes: Arc::new(Others { channel }), metrics: Arc::default() })
}

/// A token whose home is this node.
fn token_of(home: NodeId) -> String {
    let is_home = |token: &String| rank::first(&Key::of_token(Class::Default, "cl", token), &NODES, |_| true) == Some(home);
    (0..).map(|number: u32| number.to_string()).find(is_home).expect("a token")
}

async fn admitted(limiter: &Limiter, token: &str, class: Class, requests: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..requests {
        match limiter.take("cl", token, class).await {
            Verdict::Admitted(_) => admitted += 1,
            Verdict::Refused(standing) => {
                assert_eq!((standing.class, standing.remaining), (class, 0));
                assert!((1..=60_250).contains(&standing.frees_in_ms), "{standing:?}");
            }
            Verdict::Unlimited => panic!("there are limits"),
        }
    }
    admitted
}

#[tokio::test(start_paused = true)]
async fn its_own_tokens_get_their_limit_and_those_of_others_its_share() {
    let limiter = limiter(None);
    let (own, other) = (token_of(NODES[0]), token_of(NODES[1]));
    assert_eq!(admitted(&limiter, &own, Class::Default, 50).await, 30);
    assert_eq!(admitted(&limiter, &own, Class::Purge, 50).await, 6);
    assert_eq!(admitted(&limiter, &other, Class::Default, 50).await, 10);
    assert_eq!(admitted(&limiter, &other, Class::Purge, 50).await, 2);
    assert!(limiter.shared.metrics.decided_by_share.load(Ordering::Relaxed) > 0);

    // The next in rank of some other token is this node. It counts what it has admitted already.
    let next = |token: &String| {
        let key = Key::of_token(Class::Default, "cl", token);
        rank::first(&key, &NODES, |node| node != NODES[1]) == Some(NODES[0]) && rank::first(&key, &NODES, |_| true) == Some(NODES[1])
    };
    let moved = (1_000..).map(|number: u32| number.to_string()).find(next).expect("a token");
    assert_eq!(admitted(&limiter, &moved, Class::Default, 20).await, 10);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(admitted(&limiter, &moved, Class::Default, 50).await, 20);
}

#[tokio::test]
async fn a_home_that_says_nothing_is_waited_for_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    let limiter = limiter(Some(Endpoint::from_shared(address).expect("an address").connect_lazy()));
    let (token, began) = (token_of(NODES[2]), Instant::now());
    // The first is not kept waiting, all others wait together.
    let takes = (0..50).map(|_| limiter.take("cl", &token, Class::Default));
    let verdicts = futures_util::future::join_all(takes).await;
    assert_eq!(verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Admitted(_))).count(), 10);
    assert!(began.elapsed() >= PATIENCE, "nobody was asked");
    // Generous, for a machine that has much to do: they do not wait one after the other.
    assert!(began.elapsed() < PATIENCE * 10, "{:?}", began.elapsed());
    // The ask ends at the same time as their patience.
    tokio::time::timeout(PATIENCE, async {
        while limiter.shared.metrics.asks_failed.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the ask ends");
    assert_eq!(limiter.shared.metrics.asks_failed.load(Ordering::Relaxed), 1, "it is asked once for all");
}

#[tokio::test(start_paused = true)]
async fn addresses_are_counted_for_themselves() {
    let limiter = limiter(None);
    let count = |address: &str| {
        let address: IpAddr = address.parse().expect("an address");
        (0..10).filter(|_| matches!(limiter.take_anonymous(address), Verdict::Admitted(_))).count()
    };
    assert_eq!((count("192.0.2.1"), count("192.0.2.1"), count("192.0.2.2")), (4, 0, 4));
    assert_eq!((count("2001:db8::1"), count("2001:db8::2")), (4, 0));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(count("192.0.2.1"), 4);
}

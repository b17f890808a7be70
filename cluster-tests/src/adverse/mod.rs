//! An origin that does what a script says, byte by byte, and remembers byte by byte what it was asked.
//!
//! It speaks HTTP/1.1 over bare TCP, without any library that would know better: what it sends may be anything. What it is sent it reads as the
//! strictest of servers would: [`Asked::flaws`] has everything that another server might read otherwise.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use cluster_tests::adverse::{Adverse, Script};
//!
//! let origin = Adverse::start(|asked| match asked.target.as_str() {
//!     "/stalls" => Script::new().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").stall(),
//!     "/resets" => Script::new().reset(),
//!     _ => Script::answer(200, "Cache-Control: max-age=60\r\n", "healed"),
//! })
//! .await?;
//! # drop(origin);
//! # Ok(())
//! # }
//! ```

mod asked;
mod frames;
mod port;
mod script;
mod serve;

pub use asked::Asked;
pub use frames::{AdverseFrames, Authority, END_HEADERS, END_STREAM, Moves};
pub use script::{Gate, Script, Source};

use anyhow::Result;
use parking_lot::Mutex;
use port::Port;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An origin on a free port of this machine. It is gone, with its connections, when this is dropped.
#[derive(Debug)]
pub struct Adverse {
    port: Port,
    state: Arc<State>,
}

/// What the connections of an origin have in common.
struct State {
    answer: Box<dyn Fn(&Asked) -> Script + Send + Sync>,
    asked: Mutex<Vec<Arc<Asked>>>,
    turns: Mutex<HashMap<String, usize>>,
    connections: AtomicUsize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Adverse {
    /// Listens, and does for each request what `answer` says.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(answer: impl Fn(&Asked) -> Script + Send + Sync + 'static) -> Result<Self> {
        let state = Arc::new(State {
            answer: Box::new(answer),
            asked: Mutex::default(),
            turns: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let port = Port::open({
            let state = Arc::clone(&state);
            move |socket| serve::connection(socket, Arc::clone(&state))
        });
        Ok(Self { port: port.await?, state })
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How often it was asked for `target`.
    #[must_use]
    pub fn times(&self, target: &str) -> usize {
        self.state.turns.lock().get(target).copied().unwrap_or_default()
    }

    /// All that it was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Arc<Asked>> {
        self.state.asked.lock().clone()
    }

    /// Forgets what it was asked, not how often.
    pub fn forget(&self) {
        self.state.asked.lock().clear();
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.port.connections()
    }

    /// Connections that there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }
}

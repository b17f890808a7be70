//! The frame around a property test: seeds, scale, time limit, and a turn on the machine.
//!
//! ```no_run
//! use cluster_tests::run::{Limit, property};
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn nothing_is_lost() -> anyhow::Result<()> {
//!     property("nothing_is_lost", Limit::minutes(1, 10), async |run| {
//!         let mut kills = run.seed().rng("kills");
//!         // ... start a cluster, do harm, check ...
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! | environment | meaning |
//! |---|---|
//! | `NCORE_SEED=n` | run with exactly this seed (the first one, if there are several) |
//! | `NCORE_SEEDS=n` | run that many seeds, one after another; default 1 |
//! | `NCORE_PROVE=1` | the long form of each test, as `make prove` runs it |
//! | `NCORE_CLUSTERS=n` | how many clusters may run on this machine at a time; default: one for two cores |

use crate::seed::Seed;
use crate::wait;
use anyhow::{Context as _, Result, anyhow};
use std::fmt::Display;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One execution of a property test: its seed and its scale.
#[derive(Debug, Clone)]
pub struct Run {
    name: String,
    seed: Seed,
    scale: Scale,
    started: Instant,
}

impl Run {
    /// The root of this run's random choices.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        self.seed
    }

    /// The name of the property.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Chooses by scale: the first for everyday runs, the second for `make prove`.
    pub fn scaled<T>(&self, short: T, prove: T) -> T {
        match self.scale {
            Scale::Short => short,
            Scale::Prove => prove,
        }
    }

    /// Prints a line of the run's report, with the time since its start.
    #[expect(clippy::print_stderr, reason = "the report of a test goes to its captured standard error")]
    pub fn say(&self, text: impl Display) {
        eprintln!("[{} {:7.2}s] {text}", self.name, self.started.elapsed().as_secs_f64());
    }
}

/// How much a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// What a developer waits for: under a minute a test.
    Short,
    /// What stands behind a claim: as much as the property's page promises.
    Prove,
}

impl Scale {
    /// Reads `NCORE_PROVE`.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var("NCORE_PROVE").as_deref() {
            Ok("" | "0") | Err(_) => Self::Short,
            Ok(_) => Self::Prove,
        }
    }
}

/// The longest a single seed may take. A test that hangs is a failed test.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    short: Duration,
    prove: Duration,
}

impl Limit {
    /// Minutes for the short form and for the long one.
    #[must_use]
    pub const fn minutes(short: u64, prove: u64) -> Self {
        Self { short: Duration::from_secs(short * 60), prove: Duration::from_secs(prove * 60) }
    }
}

/// Runs `body` once for each seed asked for by the environment.
///
/// # Errors
/// The first failure of the body, with the seed to repeat it. Also when a run takes longer than `limit`, or when
/// no turn on the machine came up within half an hour.
///
/// # Panics
/// Passes on a panic of the body, after printing the seed.
pub async fn property(name: &str, limit: Limit, body: impl AsyncFn(Run) -> Result<()>) -> Result<()> {
    let scale = Scale::from_env();
    let limit = match scale {
        Scale::Short => limit.short,
        Scale::Prove => limit.prove,
    };
    for seed in seeds_from_env()? {
        let _turn = Turn::take().await?;
        let announcement = Announcement { name, seed };
        let run = Run { name: name.to_owned(), seed, scale, started: Instant::now() };
        run.say(format_args!("seed {seed}"));
        tokio::time::timeout(limit, body(run.clone()))
            .await
            .map_err(|_| anyhow!("not finished after {limit:?}"))
            .flatten()
            .with_context(|| format!("repeat with NCORE_SEED={seed}"))?;
        run.say("passed");
        std::mem::forget(announcement);
    }
    Ok(())
}

/// Prints the seed when a run ends in any way but a good one, a panic included.
struct Announcement<'a> {
    name: &'a str,
    seed: Seed,
}

impl Drop for Announcement<'_> {
    #[expect(clippy::print_stderr, reason = "the seed must be seen whatever way the test ends")]
    fn drop(&mut self) {
        eprintln!("[{}] FAILED; repeat with NCORE_SEED={}", self.name, self.seed);
    }
}

fn seeds_from_env() -> Result<Vec<Seed>> {
    let first = match std::env::var("NCORE_SEED") {
        Ok(text) => text.parse().with_context(|| format!("NCORE_SEED={text} is not a number"))?,
        Err(_) => Seed::random(),
    };
    let count: usize = match std::env::var("NCORE_SEEDS") {
        Ok(text) => text.parse().with_context(|| format!("NCORE_SEEDS={text} is not a number"))?,
        Err(_) => 1,
    };
    let next = |seed: &Seed| Some(seed.derive("next"));
    Ok(std::iter::successors(Some(first), next).take(count).collect())
}

/// The right to run a cluster now. Several test processes at once on a small machine would measure each other;
/// a lock on a file orders them, and the kernel takes it back when a process dies.
struct Turn {
    _lock: File,
}

impl Turn {
    async fn take() -> Result<Self> {
        let places = match std::env::var("NCORE_CLUSTERS") {
            Ok(text) => text.parse().with_context(|| format!("NCORE_CLUSTERS={text} is not a number"))?,
            Err(_) => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
        };
        let files: Vec<File> = (0..places).map(Self::file).collect::<Result<_>>()?;
        wait::until(Duration::from_secs(1800), "a turn on this machine", || async {
            files.iter().find(|file| file.try_lock().is_ok()).map(File::try_clone)
        })
        .await?
        .map(|lock| Self { _lock: lock })
        .context("keep the lock of the turn")
    }

    fn file(place: usize) -> Result<File> {
        let path = lock_dir()?.join(format!("turn-{place}"));
        File::create(&path).with_context(|| format!("create {}", path.display()))
    }
}

/// The directory of the lock files which test processes on this machine share.
pub(crate) fn lock_dir() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join("ncore-cluster-tests");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

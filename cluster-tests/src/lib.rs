//! Whole clusters of real processes, under fault.
//!
//! This crate drives the `ncore` binary from outside, the way its users do: configuration files, the command line,
//! HTTP. It knows no other crate of the workspace. It breaks things on purpose (processes, networks, disks, stored bytes) and
//! checks that the product's promises hold all the same. The properties themselves are in `tests/`, one file for each.
//!
//! # A property in full
//!
//! ```no_run
//! use cluster_tests::client::{Outcome, Upload};
//! use cluster_tests::link::Cut;
//! use cluster_tests::run::{Limit, Run, property};
//! use cluster_tests::workload::{Content, Ledger, Settler};
//! use cluster_tests::{Cluster, Node};
//! use std::time::Duration;
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn a_leader_that_is_cut_off_loses_nothing() -> anyhow::Result<()> {
//!     // Seeds from the environment, one cluster at a time on this machine, a limit for each run.
//!     property("cut_off_leader", Limit::minutes(2, 5), async |run: Run| {
//!         let cluster = Cluster::builder().region("eu-ams", 2).region("us-nyc", 1).seed(run.seed()).start().await?;
//!         let api = cluster.api("tester").await?;
//!         let ledger = Ledger::new();
//!
//!         let leader = cluster.leader().await?;
//!         cluster.links().isolate(leader.slot(), Cut::Silent);
//!
//!         // At the leader, a write may be refused, or its outcome may be unknown ...
//!         let content = Content::new(run.seed(), 100_000);
//!         let upload = Upload::new("some/path", content.bytes()).key("one");
//!         let outcome = api.at(&leader).upload(&upload).await;
//!         anyhow::ensure!(!matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
//!
//!         // ... and the same key at the others settles it.
//!         let others: Vec<Node> = cluster.nodes().iter().filter(|node| node.slot() != leader.slot()).cloned().collect();
//!         let asset = Settler::new(&api, &others, run.seed().rng("nodes")).upload(&upload).await?;
//!         ledger.note(asset, upload.path(), content)?;
//!
//!         cluster.links().heal_all();
//!         cluster.converged(Duration::from_secs(30)).await?;
//!         ledger.readable_at(&api, cluster.nodes(), Duration::from_secs(30)).await?;
//!         // Says that the test passed: without it the cluster's files are kept and its logs printed.
//!         cluster.shutdown().await
//!     })
//!     .await
//! }
//! ```
//!
//! # The parts
//!
//! | module | |
//! |---|---|
//! | [`cluster`] | starts, stops, kills and freezes nodes; waits until they agree |
//! | [`link`] | a proxy on every directed link between nodes, and before a node: cuts, delay, rate, flipped bits |
//! | [`disk`] | slow and failing syncs, full disks, by a library preloaded into the node (`disk-faults/`) |
//! | [`corrupt`] | flipped bits and lost ends in stored blobs |
//! | [`client`], [`operator`] | API v2 and the command line; results that admit what is not known |
//! | [`adverse`] | an origin that does byte by byte what a script says, and remembers byte by byte what it was asked |
//! | [`front`] | one node with a zone, and what is left in it of what is over |
//! | [`site`] | a cluster with an administrator, asked at one node after the other |
//! | [`workload`] | content from a seed, uploads followed up until settled, the ledger of what was acknowledged |
//! | [`history`], [`linearizability`] | what clients saw, and whether there is an order in which it makes sense |
//! | [`wait`] | conditions with deadlines; a failure tells what was seen last |
//! | [`seed`], [`run`] | one number for all random choices; the frame around a property |
//!
//! # Running them
//!
//! ```sh
//! cargo build --release -p ncore -p disk-faults     # what is under test, and the library that breaks its disks
//! cargo nextest run --release -p cluster-tests
//! NCORE_SEED=42 cargo nextest run --release -p cluster-tests --test chaos_uploads      # a failure again
//! NCORE_PROVE=1 NCORE_SEEDS=20 cargo nextest run --release --profile prove -p cluster-tests   # the long form
//! ```
//!
//! The binary is `$NCORE_BIN`, or the one in the target directory; a missing one is a failed test. The environment
//! variables are listed in [`run`]. A failed run prints its seed, the directory that holds each node's configuration, log and
//! data, and the end of each log. A history that is not linearizable is kept, and `examples/check_history` checks it again.
//!
//! # Is a test worth anything?
//!
//! The harness has tests of its own (`tests/harness/`), and `examples/stand_in` is a small program with the product's
//! command line and API that can be told to be faulty in ways that are known: `check-the-tests` runs the properties
//! against each fault and expects them to fail. A test that a planted fault passes is not a test.
//!
//! # Programs that nobody here wrote
//!
//! `check-the-api`, `check-the-cache`, `check-smuggling` and others hold a node against them.
//!
//! # Measurements
//!
//! The program `cluster-bench` (`src/bin/cluster-bench`) measures the product beside other programs; `docs/benchmarks.md` says what
//! is compared. Its load is a node of the cluster, which is why this package depends on the control plane. Tests do not.

pub mod adverse;
pub mod client;
pub mod cluster;
pub mod corrupt;
pub mod disk;
pub mod front;
pub mod history;
pub mod linearizability;
pub mod link;
pub mod operator;
pub mod run;
pub mod seed;
pub mod site;
pub mod wait;
pub mod workload;

pub use cluster::{Cluster, Node};
pub use seed::Seed;
pub use site::Site;

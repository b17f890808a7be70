//! What clients used here, told to the cluster: each count once, whatever breaks.
//!
//! ```text
//!   meters ── collect ──► pending, by hour and client ── a batch ──► report (incarnation, sequence) ──► proposed until it is taken
//!                            └──────────── both in the spool, synced before a report is proposed ───────┘
//! ```
//!
//! # What holds
//!
//! 1. **Never more than the truth.** A report is made once: its counts leave what is pending, and report and rest are on disk together
//!    before the cluster hears of it. After that it is proposed as it is, by this life or the next, and the cluster takes no report of a
//!    node that is not later than the last it took.
//! 2. **No count is lost but with the process.** What a crash loses was counted since the spool was last written.
//! 3. **Bounded.** A report has at most so many counts, one is under way at a time, and what is pending grows with clients and hours, to a
//!    bound; counts beyond it are dropped, and that is counted.

mod allowance;
mod pending;
mod reporter;
mod spool;

pub(crate) use {allowance::Allowances, reporter::UsageReporter};

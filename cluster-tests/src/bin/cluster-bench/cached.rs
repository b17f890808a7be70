//! The store of cached entries, in this process: what a million entries of 1 KB cost in memory, and how fast it takes and gives them.
//!
//! Resident memory is that of the process, less what it was before the store was opened; with the memory tier, its tables, the index, and the
//! tables of hits. It is read when the store is filled, and again in another process, as after a restart of a node, once the store is open and
//! after the lookups, when caches are full. Nothing is asserted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use ncore_store::cached::{Cached, CachedSettings, Entry, EntryKey};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::runtime::Runtime;

use crate::process::cpu_seconds;

/// Fill the store of cached entries, and measure it.
#[derive(Args)]
pub(crate) struct CachedEntries {
    /// How many entries
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Bytes of each
    #[arg(long, default_value_t = 1_000)]
    size: usize,
    /// Bytes of the memory tier
    #[arg(long, default_value_t = 32 << 20)]
    memory: u64,
    /// Lookups of each kind
    #[arg(long, default_value_t = 500_000)]
    lookups: u64,
    /// Tasks that look up at a time
    #[arg(long, default_value_t = 16)]
    tasks: u64,
    /// Where the store is made; by default in the directory for temporary files
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Measure the store in this directory, which is full: what the benchmark starts itself again with
    #[arg(long, hide = true)]
    filled: Option<PathBuf>,
}

/// What a lookup is to find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    All,
    None,
}

/// Entries that the memory tier holds all of.
const HOT: u64 = 1_000;

impl CachedEntries {
    pub(crate) fn run(self) -> Result<()> {
        // Away from the runtime that this is called on: its only thread is the caller's.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            self.measure(&runtime)
        });
        thread.join().map_err(|_| anyhow::anyhow!("the benchmark panicked"))?
    }

    fn measure(&self, runtime: &Runtime) -> Result<()> {
        let settings = CachedSettings { memory_bytes: self.memory, ..CachedSettings::default() };
        if let Some(dir) = &self.filled {
            return self.measure_filled(runtime, dir, settings);
        }
        let dir = match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir),
            None => tempfile::tempdir(),
        };
        let dir = dir.context("make a directory for the store")?;
        println!("{} entries of {} bytes, {} tasks, memory tier of {} bytes", self.entries, self.size, self.tasks, self.memory);
        let before = resident()?;
        let cached = Cached::open(dir.path(), settings)?;
        self.fill(&cached)?;
        self.say_memory("filled", before)?;
        runtime.block_on(cached.close());
        drop(cached);
        // In a process of its own: what the allocator has kept of the first store is no part of the second.
        let mut again = Command::new(std::env::current_exe()?);
        again.arg("cached");
        for (name, value) in [
            ("--entries", self.entries),
            ("--size", self.size as u64),
            ("--memory", self.memory),
            ("--lookups", self.lookups),
            ("--tasks", self.tasks),
        ] {
            again.arg(name).arg(value.to_string());
        }
        let ended = again.arg("--filled").arg(dir.path()).status().context("start the second process")?;
        ensure!(ended.success(), "the second process failed");
        Ok(())
    }

    fn measure_filled(&self, runtime: &Runtime, dir: &Path, settings: CachedSettings) -> Result<()> {
        let (before, began) = (resident()?, Instant::now());
        let cached = Cached::open(dir, settings)?;
        println!("opened in {:.1?}", began.elapsed());
        ensure!(cached.figures().disk_entries == self.entries, "{:?}", cached.figures());
        self.say_memory("opened again", before)?;
        self.look_up(runtime, &cached, "from the disk", 0..self.entries, Found::All)?;
        self.say_memory("after lookups from the disk", before)?;
        self.look_up(runtime, &cached, "from memory", 0..HOT, Found::All)?;
        self.look_up(runtime, &cached, "of what is not there", self.entries..2 * self.entries, Found::None)?;
        self.say_memory("at the end", before)?;
        println!("{:?}", cached.figures());
        runtime.block_on(cached.close());
        Ok(())
    }

    /// As fast as the queue to the disk takes them, so that none is dropped.
    fn fill(&self, cached: &Cached) -> Result<()> {
        let (began, cpu) = (Instant::now(), cpu()?);
        let room = CachedSettings::default().queue_bytes / 2;
        for n in 0..self.entries {
            while cached.figures().queued_bytes > room {
                std::thread::sleep(Duration::from_micros(100));
            }
            cached.put(key(n), self.entry(n));
        }
        while cached.figures().queued_bytes > 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
        say_rate("puts to the disk", self.entries, began, cpu)
    }

    fn look_up(&self, runtime: &Runtime, cached: &Cached, what: &str, range: std::ops::Range<u64>, found: Found) -> Result<()> {
        let (began, cpu) = (Instant::now(), cpu()?);
        let each = self.lookups / self.tasks;
        let tasks: Vec<_> = (0..self.tasks)
            .map(|task| {
                let (cached, range) = (cached.clone(), range.clone());
                runtime.spawn(async move {
                    let mut random = SmallRng::seed_from_u64(task);
                    let mut hits = 0;
                    for _ in 0..each {
                        let key = key(random.random_range(range.clone()));
                        let entry = match cached.in_memory(&key) {
                            Some(entry) => Some(entry),
                            None => cached.get(&key).await?,
                        };
                        hits += u64::from(entry.is_some());
                    }
                    anyhow::Ok(hits)
                })
            })
            .collect();
        let mut hits = 0;
        for task in tasks {
            hits += runtime.block_on(task)??;
        }
        let expected = if found == Found::All { each * self.tasks } else { 0 };
        ensure!(hits == expected, "{hits} of {expected} were found");
        say_rate(&format!("lookups {what}"), each * self.tasks, began, cpu)
    }

    fn entry(&self, n: u64) -> Entry {
        let mut bytes = vec![0; self.size];
        SmallRng::seed_from_u64(n).fill(bytes.as_mut_slice());
        Entry { fill: n, bytes: Bytes::from(bytes) }
    }

    fn say_memory(&self, when: &str, before: u64) -> Result<()> {
        let now = resident()?.saturating_sub(before);
        println!("{when}: {:.1} MB resident, {:.0} bytes an entry", now as f64 / 1e6, now as f64 / self.entries as f64);
        Ok(())
    }
}

/// With the processor time of each, which says more where the machine does other things as well.
fn say_rate(what: &str, count: u64, began: Instant, before: f64) -> Result<()> {
    let each = (cpu()? - before) * 1e6 / count as f64;
    println!("{:.0} {what} a second, {each:.1} us of processor time each", count as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// Processor time of this process in seconds.
fn cpu() -> Result<f64> {
    cpu_seconds(std::process::id())
}

fn key(n: u64) -> EntryKey {
    EntryKey::of(&[b"bench", &n.to_le_bytes()])
}

/// Resident memory of this process in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kib * 1024)
}

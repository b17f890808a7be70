//! The process is killed at any moment, again and again, and the next one finds what was there, and nothing that was gone.
//!
//! The kill is real: this test binary runs itself as a child, which puts, replaces and removes as fast as it can and tells what is
//! done, until it is killed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

const DIR: &str = "NCORE_CACHED_KILL_DIR";
const FROM: &str = "NCORE_CACHED_KILL_FROM";
const KILLS: u64 = 12;
const KEYS: u64 = 400;

#[tokio::test]
async fn what_was_held_is_there_after_a_kill_and_what_was_gone_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut newest: HashMap<u64, Told> = HashMap::new();
    let (mut from, mut kept, mut expected) = (1, 0, 0);
    for round in 0..KILLS {
        let told = run_and_kill(dir.path(), from, 500 + 300 * round);
        from = told.iter().map(|(_, told)| told.version).max().unwrap() + 1_000_000;
        newest.extend(told);
        let cached = open(dir.path(), &settings());
        for n in 0..KEYS {
            let Some(told) = newest.get(&n) else { continue };
            let found = cached.get(&key(n)).await.unwrap();
            expected += u64::from(!told.removed);
            let Some(found) = found else { continue };
            assert!(found.fill >= told.version, "key {n} is back at {}, after {told:?}", found.fill);
            assert!(!(told.removed && found.fill == told.version), "key {n} is back after it was removed: {told:?}");
            assert_eq!(found, entry(n, found.fill, len(found.fill)));
            kept += u64::from(!told.removed);
        }
        let figures = cached.figures();
        assert_eq!((figures.damaged, figures.read_errors), (0, 0), "{figures:?}");
        cached.close().await;
    }
    assert!(kept * 10 > expected * 8, "{kept} of {expected} entries were kept");
}

/// What the child does. Does nothing in an ordinary run of the tests.
#[tokio::test]
async fn child() {
    let (Some(dir), Ok(from)) = (std::env::var_os(DIR), std::env::var(FROM)) else { return };
    let cached = open(Path::new(&dir), &settings());
    let mut out = std::io::stdout().lock();
    let mut version: u64 = from.parse().unwrap();
    loop {
        version += 1;
        let n = version * 7 % KEYS;
        let removed = version.is_multiple_of(11);
        if removed {
            cached.remove(&key(n)).await.unwrap();
        } else {
            cached.put(key(n), entry(n, version, len(version)));
            // It counts once it can be read.
            if cached.get(&key(n)).await.unwrap().is_none_or(|found| found.fill != version) {
                continue;
            }
        }
        writeln!(out, "told {n} {version} {removed}").unwrap();
    }
}

/// What the child said of a key last.
#[derive(Debug, Clone, Copy)]
struct Told {
    version: u64,
    removed: bool,
}

/// Kills the child after so many lines, and gives what it said.
fn run_and_kill(dir: &Path, from: u64, lines: u64) -> Vec<(u64, Told)> {
    let mut child = spawn(dir, from);
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut told = Vec::new();
    let mut killed = false;
    for line in out.lines().map_while(Result::ok) {
        // The first line may stand behind what the harness prints.
        let Some((_, line)) = line.split_once("told ") else { continue };
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        // The kill may cut a line short.
        let (Some(n), Some(version)) = (number(), number()) else { continue };
        let removed = match words.next() {
            Some("true") => true,
            Some("false") => false,
            _ => continue,
        };
        told.push((n, Told { version, removed }));
        if told.len() as u64 >= lines && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
    told
}

fn spawn(dir: &Path, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cached::tests::kill::child", "--nocapture"])
        .env(DIR, dir)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Room for all, so that what is not there was lost and not evicted.
fn settings() -> CachedSettings {
    CachedSettings { memory_bytes: 1 << 20, disk_bytes: 64 << 20, queue_bytes: 4 << 20, readers: 4 }
}

fn len(version: u64) -> usize {
    usize::try_from(version * 131 % 9_000).unwrap()
}

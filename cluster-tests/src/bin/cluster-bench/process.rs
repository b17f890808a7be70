//! Processes that are measured: each on the first core, ended with the benchmark, and what they cost.

use std::{
    fmt, fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// The core of the servers.
pub(crate) const SERVER_CORE: &str = "0";
/// The core of the load.
pub(crate) const LOAD_CORE: &str = "1";
/// How long a server has to end by itself.
const ENDING: Duration = Duration::from_secs(5);

/// A command that runs `program` on the core of the servers, without input and output.
pub(crate) fn pinned(program: &str) -> Command {
    pinned_to(SERVER_CORE, program)
}

/// The same, on a core.
pub(crate) fn pinned_to(core: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    // taskset replaces itself by the program, so its process id is the program's.
    command.args(["-c", core, program]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Moves this process to the core of the load. Threads that it makes later are there too.
pub(crate) fn pin_this_process() -> Result<()> {
    let own = std::process::id().to_string();
    let moved = Command::new("taskset").args(["-acp", LOAD_CORE, &own]).stdout(Stdio::null()).status();
    ensure!(moved.context("cannot run taskset; is it installed?")?.success(), "taskset failed");
    Ok(())
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// User and system time of a process so far.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    // utime and stime.
    seconds(process, 14, 2)
}

/// User and system time of this process so far, and of all that it has started and that have ended: the load, and what answers for origins.
pub(crate) fn cpu_seconds_of_load() -> Result<f64> {
    // cutime and cstime as well.
    seconds("self", 14, 4)
}

/// Some fields of `/proc/PID/stat`, the first of which is counted from 1, in seconds together.
fn seconds(process: impl fmt::Display, first: usize, count: usize) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold anything; the fields after it, from the third on, are numbers.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = 0.0;
    for field in fields.split_whitespace().skip(first - 3).take(count) {
        ticks += field.parse::<f64>()?;
    }
    Ok(ticks / TICKS_PER_SECOND)
}

/// A process with all that it has started, and that these have.
pub(crate) fn family(root: u32) -> Result<Vec<u32>> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(process) = all.get(at).copied() {
        at += 1;
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may be gone.
            let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    Ok(all)
}

/// SIGTERM, so that a server can end its own children; and a kill if that does not do.
pub(crate) fn stop(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let end = Instant::now() + ENDING;
    while Instant::now() < end {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

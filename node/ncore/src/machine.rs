//! The machine under the node, as the kernel tells: processors, memory, and the file system of the data.
//!
//! What the kernel does not tell, or tells in a way that is not known here, is left out and never made up.

use std::{fs, path::Path};

use ncore_telemetry::{Machine, Room};

/// Processors and memory.
pub(crate) fn machine() -> Option<Machine> {
    let (cpu_busy, cpu_all) = ticks(&fs::read_to_string("/proc/stat").ok()?)?;
    let memory = memory(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(Machine { cpu_busy, cpu_all, memory })
}

/// The file system that `dir` is on. What only the superuser may fill counts as used.
pub(crate) fn storage(dir: &Path) -> Option<Room> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    Some(Room { used: total.saturating_sub(stat.f_bavail.saturating_mul(stat.f_frsize)), total })
}

/// Bytes of this process that are in memory, those of its binary too.
pub(crate) fn resident() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS")
}

/// Busy ticks, and all ticks: proc(5), the line `cpu` of `/proc/stat`. The time of guests is in that of users already.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers: Vec<u64> = line.split_whitespace().map_while(|number| number.parse().ok()).take(8).collect();
    let (idle, waiting) = (*numbers.get(3)?, *numbers.get(4)?);
    let all = numbers.iter().sum::<u64>();
    Some((all - idle - waiting, all))
}

fn memory(info: &str) -> Option<Room> {
    let (total, available) = (bytes_of(info, "MemTotal")?, bytes_of(info, "MemAvailable")?);
    Some(Room { used: total.saturating_sub(available), total })
}

/// A line of the form `name: number kB`.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::{machine, memory, resident, ticks};
    use ncore_telemetry::Room;

    #[test]
    fn what_the_kernel_tells() {
        assert_eq!(ticks("cpu  10 1 5 80 4 0 0 0 3 0\ncpu0 1 1 1 1\n"), Some((16, 100)));
        assert_eq!(ticks("cpu  10\n"), None);
        assert_eq!(memory("MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable:   5 kB\n"), Some(Room { used: 3_072, total: 8_192 }));
        assert_eq!(memory("MemTotal: 8 kB\n"), None);
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
        let machine = machine().expect("Linux tells");
        assert!(machine.cpu_busy <= machine.cpu_all && machine.memory.used <= machine.memory.total);
    }
}

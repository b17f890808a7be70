//! Nodes must not outlive the test that started them, however the test ends.
//!
//! A shell waits at the far end of a pipe whose near end only this process holds, and leads a process group that all
//! nodes of the cluster join. When the pipe closes, because the cluster is dropped or because the test process was
//! killed, the shell kills the whole group. No list of process ids is kept, so none can be stale.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// Owner of a process group that dies with its owner.
#[derive(Debug)]
pub struct Reaper {
    // Its standard input is the near end of the pipe.
    shell: Child,
}

impl Reaper {
    /// Starts the shell.
    ///
    /// # Errors
    /// When there is no `/bin/sh`.
    pub fn start() -> Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", "read -r line; kill -KILL 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the shell that kills the nodes when the test ends")?;
        Ok(Self { shell })
    }

    /// The process group to start nodes in.
    #[must_use]
    pub fn group(&self) -> i32 {
        // A process id of Linux always fits.
        i32::try_from(self.shell.id()).unwrap_or(i32::MAX)
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.group()) {
            // The group exists as long as the shell was not waited for. Nothing is left to do on failure.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Reaper;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command};

    fn sleeper(reaper: &Reaper) -> Child {
        Command::new("sleep").arg("600").process_group(reaper.group()).spawn().expect("start sleep")
    }

    #[test]
    fn children_die_with_the_reaper() {
        let reaper = Reaper::start().expect("a reaper");
        let mut child = sleeper(&reaper);
        assert!(child.try_wait().expect("look").is_none(), "it runs");
        drop(reaper);
        assert_eq!(child.wait().expect("wait").signal(), Some(9));
    }

    #[test]
    fn children_die_when_the_pipe_closes() {
        let mut reaper = Reaper::start().expect("a reaper");
        let mut child = sleeper(&reaper);
        // What the kernel does with our end of the pipe when the test process is killed.
        drop(reaper.shell.stdin.take());
        assert_eq!(child.wait().expect("wait").signal(), Some(9));
    }
}

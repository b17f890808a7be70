//! The preloaded library, with small programs in place of nodes.

use anyhow::{Context as _, Result};
use cluster_tests::cluster::binary;
use cluster_tests::disk::Disk;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A directory whose disk can fail, and a place outside of it.
struct Bench {
    dir: TempDir,
    library: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().context("a directory")?;
        std::fs::create_dir_all(dir.path().join("data/blobs"))?;
        std::fs::create_dir_all(dir.path().join("data/raft"))?;
        let bench = Self { dir, library: binary::disk_faults()? };
        bench.disk().heal()?;
        Ok(bench)
    }

    fn disk(&self) -> Disk {
        Disk::new(self.dir.path().join("control"), self.data(), true)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn preloaded(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", &self.library).env("NCORE_DISK_FAULTS", self.disk().control());
        command
    }

    /// Writes four blocks to a file and syncs it.
    fn write_and_sync(&self, file: &Path) -> Result<Output> {
        let out = format!("of={}", file.display());
        let output = self.preloaded("dd").args(["if=/dev/zero", &out, "bs=4096", "count=4", "conv=fsync"]).output()?;
        Ok(output)
    }

    fn python(&self, script: &str) -> Result<String> {
        let output = self.preloaded("python3").args(["-c", script]).current_dir(self.data()).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_faults_all_is_as_ever() -> Result<()> {
    let bench = Bench::new()?;
    let file = bench.data().join("file");
    let output = bench.write_and_sync(&file)?;
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(std::fs::metadata(&file)?.len(), 4 * 4096);
    assert_eq!(bench.disk().hits(), 0);
    Ok(())
}

#[test]
fn a_slow_sync_takes_longer_and_succeeds() -> Result<()> {
    let bench = Bench::new()?;
    bench.disk().slow_fsync(Duration::from_millis(300))?;
    let start = Instant::now();
    let output = bench.write_and_sync(&bench.data().join("file"))?;
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.disk().hits(), 1);
    Ok(())
}

#[test]
fn a_failing_sync_fails_with_an_input_output_error() -> Result<()> {
    let bench = Bench::new()?;
    bench.disk().fail_fsync()?;
    let output = bench.write_and_sync(&bench.data().join("file"))?;
    assert!(!output.status.success());
    assert!(complaint(&output).contains("Input/output error"), "{}", complaint(&output));
    bench.disk().heal()?;
    assert!(bench.write_and_sync(&bench.data().join("file"))?.status.success());
    Ok(())
}

#[test]
fn once_means_once() -> Result<()> {
    let bench = Bench::new()?;
    bench.disk().fail_fsync_once()?;
    let script = "
import os
fd = os.open('file', os.O_CREAT | os.O_WRONLY)
def sync(how):
    try:
        how(fd)
        return 'ok'
    except OSError as error:
        return str(error.errno)
print(sync(os.fsync), sync(os.fdatasync), sync(os.fsync))";
    assert_eq!(bench.python(script)?, "5 ok ok");
    Ok(())
}

#[test]
fn a_full_disk_refuses_every_kind_of_write() -> Result<()> {
    let bench = Bench::new()?;
    bench.disk().full(true)?;
    let script = "
import os
fd = os.open('file', os.O_CREAT | os.O_RDWR)
source = os.open('/etc/passwd', os.O_RDONLY)
def attempt(how, *arguments):
    try:
        how(*arguments)
        return 'ok'
    except OSError as error:
        return str(error.errno)
print(attempt(os.write, fd, b'x'), attempt(os.pwrite, fd, b'x', 0), attempt(os.writev, fd, [b'x', b'y']),
      attempt(os.pwritev, fd, [b'x'], 0), attempt(os.copy_file_range, source, fd, 10), attempt(os.fsync, fd))";
    assert_eq!(bench.python(script)?, "28 28 28 28 28 ok");
    assert_eq!(std::fs::metadata(bench.data().join("file"))?.len(), 0);
    assert_eq!(bench.disk().hits(), 5);
    let output = bench.write_and_sync(&bench.data().join("other"))?;
    assert!(complaint(&output).contains("No space left on device"), "{}", complaint(&output));
    Ok(())
}

#[test]
fn an_unreadable_disk_refuses_reads_at_a_place() -> Result<()> {
    let bench = Bench::new()?;
    std::fs::write(bench.data().join("file"), "text")?;
    bench.disk().unreadable()?;
    let script = "
import os
fd = os.open('file', os.O_RDWR)
try:
    print(os.pread(fd, 4, 0))
except OSError as error:
    print(error.errno, os.pwrite(fd, b'x', 4))";
    assert_eq!(bench.python(script)?, "5 1");
    assert_eq!(bench.disk().hits(), 1);
    bench.disk().heal()?;
    assert_eq!(bench.python(script)?, "b'text'");
    Ok(())
}

#[test]
fn only_the_chosen_files_are_concerned() -> Result<()> {
    let bench = Bench::new()?;
    let fails = |file: PathBuf| -> Result<bool> { Ok(!bench.write_and_sync(&file)?.status.success()) };
    bench.disk().only("/blobs/").full(true)?;
    assert!(fails(bench.data().join("blobs/a"))?);
    assert!(!fails(bench.data().join("raft/a"))?);
    bench.disk().except("/raft/").full(true)?;
    assert!(fails(bench.data().join("blobs/b"))?);
    assert!(!fails(bench.data().join("raft/b"))?);
    assert!(!fails(bench.dir.path().join("outside"))?, "not below the directory");
    assert!(!fails(bench.dir.path().join("data-of-somebody-else"))?, "begins alike");
    Ok(())
}

#[test]
fn a_running_program_sees_a_change_at_once() -> Result<()> {
    let bench = Bench::new()?;
    let script = format!(
        "
import os
control = {control:?}
def fault(text):
    open(control + '.tmp', 'w').write(text)
    os.rename(control + '.tmp', control)
fd = os.open('file', os.O_CREAT | os.O_WRONLY)
def attempt():
    try:
        os.write(fd, b'x')
        return 'ok'
    except OSError as error:
        return str(error.errno)
answers = []
for _ in range(50):
    fault('dir=' + os.getcwd() + '\\nwrite_fail=enospc\\n')
    answers.append(attempt())
    fault('')
    answers.append(attempt())
print(sorted(set(answers[0::2])), sorted(set(answers[1::2])))",
        control = bench.disk().control()
    );
    assert_eq!(bench.python(&script)?, "['28'] ['ok']");
    Ok(())
}

#[test]
fn many_threads_and_children_do_not_get_stuck() -> Result<()> {
    let bench = Bench::new()?;
    bench.disk().slow_fsync(Duration::from_millis(1))?;
    let script = "
import os, threading, subprocess
def work(number):
    fd = os.open('file%d' % number, os.O_CREAT | os.O_WRONLY)
    for _ in range(200):
        os.write(fd, b'x' * 100)
        os.fsync(fd)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
for _ in range(10):
    subprocess.run(['true'], check=True)
[thread.join() for thread in threads]
print('done')";
    assert_eq!(bench.python(script)?, "done");
    assert_eq!(bench.disk().hits(), 1600);
    Ok(())
}

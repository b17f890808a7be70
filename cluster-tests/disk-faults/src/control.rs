//! Reading the control file, and deciding what becomes of one call.

use crate::kernel::{self, Fd};
use libc::{c_char, c_int};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// What becomes of a call.
pub(crate) enum Verdict {
    /// It is done as asked.
    Pass,
    /// It is not done; the caller sees this error number.
    Fail(c_int),
}

/// Decides about a sync of `fd`, and delays it if it is to be slow.
pub(crate) fn on_sync(fd: c_int) -> Verdict {
    quietly(|| {
        let mut buffer = [0; LONGEST];
        let Some((control, text, identity)) = read(&mut buffer) else { return Verdict::Pass };
        let delay = value(text, b"fsync_delay_ms=").and_then(number).unwrap_or(0);
        let fail = value(text, b"fsync_fail=").unwrap_or(b"");
        if (delay == 0 && fail.is_empty()) || !concerns(text, fd) {
            return Verdict::Pass;
        }
        if delay > 0 {
            count(control);
            kernel::sleep_ms(delay);
        }
        // "Once" means once for each control file: whoever swaps first has the failure.
        let failing = match fail {
            b"always" => true,
            b"once" => FAILED_ONCE.swap(identity, Ordering::Relaxed) != identity,
            _ => false,
        };
        if failing {
            count(control);
            return Verdict::Fail(libc::EIO);
        }
        Verdict::Pass
    })
}

/// Decides about a write to `fd`, or a reservation of space for it.
pub(crate) fn on_write(fd: c_int) -> Verdict {
    always(fd, b"write_fail=", b"enospc", libc::ENOSPC)
}

/// Decides about a read of `fd`.
pub(crate) fn on_read(fd: c_int) -> Verdict {
    always(fd, b"read_fail=", b"eio", libc::EIO)
}

/// Fails each call with `error` as long as the control file has `wanted` for `key`.
fn always(fd: c_int, key: &[u8], wanted: &[u8], error: c_int) -> Verdict {
    quietly(|| {
        let mut buffer = [0; LONGEST];
        let Some((control, text, _)) = read(&mut buffer) else { return Verdict::Pass };
        if value(text, key) != Some(wanted) || !concerns(text, fd) {
            return Verdict::Pass;
        }
        count(control);
        Verdict::Fail(error)
    })
}

/// Leaves the error number as it was: a call that succeeds must not change it.
fn quietly(decide: impl FnOnce() -> Verdict) -> Verdict {
    let before = kernel::errno();
    let verdict = decide();
    kernel::set_errno(before);
    verdict
}

/// The control file's name, its text, and its identity; `None` if there is nothing to do.
fn read(buffer: &mut [u8]) -> Option<(*const c_char, &[u8], u64)> {
    let control = CONTROL.load(Ordering::Relaxed).cast_const();
    if control.is_null() {
        return None;
    }
    let (size, identity) = kernel::size_and_identity(control)?;
    if size == 0 {
        return None;
    }
    let text = Fd::open(control, false)?.read(buffer);
    Some((control, text, identity))
}

/// Whether the file behind `fd` is one of those that the control file means.
fn concerns(text: &[u8], fd: c_int) -> bool {
    let mut buffer = [0; LONGEST_PATH];
    let Some(path) = kernel::path_of(fd, &mut buffer) else { return false };
    let Some(dir) = value(text, b"dir=") else { return false };
    let below = path.starts_with(dir) && path.get(dir.len()) == Some(&b'/');
    let wanted = values(text, b"path=").next().is_none() || values(text, b"path=").any(|part| contains(path, part));
    below && wanted && !values(text, b"skip=").any(|part| contains(path, part))
}

/// Appends one byte to `<control file>.hits`.
fn count(control: *const c_char) {
    let mut name = [0_u8; LONGEST_PATH];
    let mut length = 0;
    loop {
        // SAFETY: `control` is a NUL-terminated string of the environment block, and reading stops at its NUL.
        let [byte] = unsafe { control.add(length).read() }.to_ne_bytes();
        if byte == 0 {
            break;
        }
        let Some(place) = name.get_mut(length) else { return };
        *place = byte;
        length += 1;
    }
    let suffix = b".hits\0";
    let Some(place) = name.get_mut(length..length + suffix.len()) else { return };
    place.copy_from_slice(suffix);
    if let Some(hits) = Fd::open(name.as_ptr().cast(), true) {
        hits.write_mark();
    }
}

fn value<'a>(text: &'a [u8], key: &'a [u8]) -> Option<&'a [u8]> {
    values(text, key).next()
}

fn values<'a>(text: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    text.split(|byte| *byte == b'\n').filter_map(move |line| line.strip_prefix(key))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn contains(path: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && path.windows(part.len()).any(|window| window == part)
}

/// Notes where the control file is, before the program's `main` and before it has threads.
extern "C" fn find_control_file() {
    // SAFETY: the name is NUL-terminated. The pointer returned leads into the environment block, which stays for the
    // life of the process unless the program overwrites this very variable, and nobody does that.
    let control = unsafe { libc::getenv(c"NCORE_DISK_FAULTS".as_ptr()) };
    CONTROL.store(control, Ordering::Relaxed);
}

#[used]
// SAFETY: the loader calls what this section lists once, with a C calling convention; further arguments that it
// passes are ignored.
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = find_control_file;

/// Null until the library is initialised, and if there is no control file: then everything passes.
static CONTROL: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());
/// Identity of the last control file whose single failure has been used up.
static FAILED_ONCE: AtomicU64 = AtomicU64::new(0);

const LONGEST: usize = 2048;
const LONGEST_PATH: usize = 4096;

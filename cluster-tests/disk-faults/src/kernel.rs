//! The kernel's doors, by number, so that no replaced function is ever called from here.

use libc::{c_char, c_int, c_long};

/// A file descriptor that is closed at the end of its scope.
pub(crate) struct Fd(c_int);

impl Fd {
    /// Opens a file for reading, or for appending (made if missing).
    pub(crate) fn open(path: *const c_char, append: bool) -> Option<Self> {
        let flags = if append { libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND } else { libc::O_RDONLY };
        // SAFETY: `path` comes from the environment block, which is NUL-terminated, or from a buffer on the caller's
        // stack to which the caller appended a NUL; the kernel only reads it.
        let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags | libc::O_CLOEXEC, 0o644) };
        c_int::try_from(fd).ok().filter(|fd| *fd >= 0).map(Self)
    }

    /// Reads once, and returns what was read.
    pub(crate) fn read<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        // SAFETY: the kernel writes at most `buffer.len()` bytes to memory that we hold exclusively.
        let length = unsafe { libc::syscall(libc::SYS_read, self.0, buffer.as_mut_ptr(), buffer.len()) };
        usize::try_from(length).ok().and_then(|length| buffer.get(..length)).unwrap_or(&[])
    }

    /// Writes one byte.
    pub(crate) fn write_mark(&self) {
        // SAFETY: the kernel reads one byte of a constant.
        unsafe { libc::syscall(libc::SYS_write, self.0, b"!".as_ptr(), 1_usize) };
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor was opened by us and nobody else knows it.
        unsafe { libc::syscall(libc::SYS_close, self.0) };
    }
}

/// Size and identity of a file. The identity changes whenever another file takes the name.
pub(crate) fn size_and_identity(path: *const c_char) -> Option<(u64, u64)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `path` is NUL-terminated (see `Fd::open`), and the kernel fills at most one `stat`, for which there is
    // room.
    let result = unsafe { libc::syscall(libc::SYS_newfstatat, libc::AT_FDCWD, path, stat.as_mut_ptr(), 0) };
    if result != 0 {
        return None;
    }
    // SAFETY: all bytes were zero before, which is a valid `stat`, and the kernel has filled it.
    let stat = unsafe { stat.assume_init() };
    let identity = stat.st_ino.rotate_left(32) ^ stat.st_mtime.cast_unsigned() ^ stat.st_mtime_nsec.cast_unsigned();
    Some((stat.st_size.cast_unsigned(), identity))
}

/// The path of an open file, as the kernel knows it.
pub(crate) fn path_of(fd: c_int, buffer: &mut [u8]) -> Option<&[u8]> {
    let mut link = [0_u8; 32];
    write_proc_link(fd, &mut link)?;
    // SAFETY: `link` ends with a NUL, and the kernel writes at most `buffer.len()` bytes to memory that we hold
    // exclusively.
    let length = unsafe { libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, link.as_ptr(), buffer.as_mut_ptr(), buffer.len()) };
    buffer.get(..usize::try_from(length).ok()?)
}

/// Sleeps, also through signals.
pub(crate) fn sleep_ms(milliseconds: u64) {
    let mut left = libc::timespec { tv_sec: (milliseconds / 1000).cast_signed(), tv_nsec: (milliseconds % 1000 * 1_000_000).cast_signed() };
    loop {
        let wanted = left;
        // SAFETY: both point to a `timespec` on our stack.
        let result = unsafe { libc::syscall(libc::SYS_nanosleep, &raw const wanted, &raw mut left) };
        if result == 0 || errno() != libc::EINTR {
            return;
        }
    }
}

/// The calling thread's error number.
pub(crate) fn errno() -> c_int {
    // SAFETY: the C library returns a valid pointer to a variable of this thread.
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's error number.
pub(crate) fn set_errno(number: c_int) {
    // SAFETY: as in `errno`.
    unsafe { *libc::__errno_location() = number };
}

/// The result of a `syscall` as the functions of libc return it.
pub(crate) fn as_int(result: c_long) -> c_int {
    // What is returned by this way is 0 or -1.
    c_int::try_from(result).unwrap_or(-1)
}

/// Writes `/proc/self/fd/<fd>` and a NUL.
fn write_proc_link(fd: c_int, link: &mut [u8; 32]) -> Option<()> {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    link.get_mut(..PREFIX.len())?.copy_from_slice(PREFIX);
    let mut number = u32::try_from(fd).ok()?;
    let mut digits = [0_u8; 10];
    let mut first = digits.len();
    loop {
        first = first.checked_sub(1)?;
        *digits.get_mut(first)? = b'0' + u8::try_from(number % 10).ok()?;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let digits = digits.get(first..)?;
    link.get_mut(PREFIX.len()..PREFIX.len() + digits.len())?.copy_from_slice(digits);
    Some(())
}

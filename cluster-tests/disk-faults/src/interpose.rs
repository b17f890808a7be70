//! The functions of libc that are replaced. Each decides, and then enters the kernel the way libc's own does.

use crate::control::{Verdict, on_read, on_sync, on_write};
use crate::kernel::{as_int, set_errno};
use libc::{c_int, c_uint, c_void, iovec, off_t, off64_t, size_t, ssize_t};

/// Replaces `fsync(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    match on_sync(fd) {
        // SAFETY: no memory is involved.
        Verdict::Pass => as_int(unsafe { libc::syscall(libc::SYS_fsync, fd) }),
        Verdict::Fail(error) => fail(error),
    }
}

/// Replaces `fdatasync(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    match on_sync(fd) {
        // SAFETY: no memory is involved.
        Verdict::Pass => as_int(unsafe { libc::syscall(libc::SYS_fdatasync, fd) }),
        Verdict::Fail(error) => fail(error),
    }
}

/// Replaces `sync_file_range(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn sync_file_range(fd: c_int, offset: off64_t, length: off64_t, flags: c_uint) -> c_int {
    match on_sync(fd) {
        // SAFETY: no memory is involved.
        Verdict::Pass => as_int(unsafe { libc::syscall(libc::SYS_sync_file_range, fd, offset, length, flags) }),
        Verdict::Fail(error) => fail(error),
    }
}

/// Replaces `write(2)`.
///
/// # Safety
/// As of the original: `data` must be readable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, data: *const c_void, length: size_t) -> ssize_t {
    match on_write(fd) {
        // SAFETY: the caller's promise is the kernel's requirement.
        Verdict::Pass => as_ssize(unsafe { libc::syscall(libc::SYS_write, fd, data, length) }),
        Verdict::Fail(error) => as_ssize(fail(error).into()),
    }
}

/// Replaces `pwrite(2)`.
///
/// # Safety
/// As of the original: `data` must be readable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, data: *const c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's promise is passed on.
    unsafe { pwrite64(fd, data, length, offset) }
}

/// Replaces `pwrite64(2)`, the name under which programs built for large files call it.
///
/// # Safety
/// As of the original: `data` must be readable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, data: *const c_void, length: size_t, offset: off64_t) -> ssize_t {
    match on_write(fd) {
        // SAFETY: the caller's promise is the kernel's requirement.
        Verdict::Pass => as_ssize(unsafe { libc::syscall(libc::SYS_pwrite64, fd, data, length, offset) }),
        Verdict::Fail(error) => as_ssize(fail(error).into()),
    }
}

/// Replaces `pread(2)`.
///
/// # Safety
/// As of the original: `data` must be writable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread(fd: c_int, data: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller's promise is passed on.
    unsafe { pread64(fd, data, length, offset) }
}

/// Replaces `pread64(2)`, the name under which programs built for large files call it.
///
/// # Safety
/// As of the original: `data` must be writable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(fd: c_int, data: *mut c_void, length: size_t, offset: off64_t) -> ssize_t {
    match on_read(fd) {
        // SAFETY: the caller's promise is the kernel's requirement.
        Verdict::Pass => as_ssize(unsafe { libc::syscall(libc::SYS_pread64, fd, data, length, offset) }),
        Verdict::Fail(error) => as_ssize(fail(error).into()),
    }
}

/// Replaces `writev(2)`.
///
/// # Safety
/// As of the original: `parts` must be an array of `count` readable pieces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    match on_write(fd) {
        // SAFETY: the caller's promise is the kernel's requirement.
        Verdict::Pass => as_ssize(unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) }),
        Verdict::Fail(error) => as_ssize(fail(error).into()),
    }
}

/// Replaces `pwritev(2)`.
///
/// # Safety
/// As of the original: `parts` must be an array of `count` readable pieces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: the caller's promise is passed on.
    unsafe { pwritev64(fd, parts, count, offset) }
}

/// Replaces `pwritev64(2)`.
///
/// # Safety
/// As of the original: `parts` must be an array of `count` readable pieces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t) -> ssize_t {
    // SAFETY: the caller's promise is passed on.
    unsafe { pwritev64v2(fd, parts, count, offset, 0) }
}

/// Replaces `pwritev2(2)`.
///
/// # Safety
/// As of the original: `parts` must be an array of `count` readable pieces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev2(fd: c_int, parts: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
    // SAFETY: the caller's promise is passed on.
    unsafe { pwritev64v2(fd, parts, count, offset, flags) }
}

/// Replaces `pwritev64v2(2)`.
///
/// # Safety
/// As of the original: `parts` must be an array of `count` readable pieces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64v2(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t {
    // On 64-bit machines the low half holds all of the offset.
    const HIGH_HALF: usize = 0;
    match on_write(fd) {
        // SAFETY: the caller's promise is the kernel's requirement.
        Verdict::Pass => as_ssize(unsafe { libc::syscall(libc::SYS_pwritev2, fd, parts, count, offset, HIGH_HALF, flags) }),
        Verdict::Fail(error) => as_ssize(fail(error).into()),
    }
}

/// Replaces `fallocate(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
    fallocate64(fd, mode, offset, length)
}

/// Replaces `fallocate64(2)`.
#[unsafe(no_mangle)]
pub extern "C" fn fallocate64(fd: c_int, mode: c_int, offset: off64_t, length: off64_t) -> c_int {
    match on_write(fd) {
        // SAFETY: no memory is involved.
        Verdict::Pass => as_int(unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, offset, length) }),
        Verdict::Fail(error) => fail(error),
    }
}

/// Replaces `copy_file_range(2)`, by which whole files are copied.
///
/// # Safety
/// As of the original: the offsets must be null or point to an offset each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off64_t,
    to: c_int,
    to_offset: *mut off64_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    match on_write(to) {
        // SAFETY: the caller's promise is the kernel's requirement.
        Verdict::Pass => as_ssize(unsafe { libc::syscall(libc::SYS_copy_file_range, from, from_offset, to, to_offset, length, flags) }),
        Verdict::Fail(error) => as_ssize(fail(error).into()),
    }
}

fn fail(error: c_int) -> c_int {
    set_errno(error);
    -1
}

fn as_ssize(result: libc::c_long) -> ssize_t {
    // Both are as wide as a register.
    ssize_t::try_from(result).unwrap_or(-1)
}

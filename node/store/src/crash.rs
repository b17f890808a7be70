//! Places where the tests make a process die. Compiled for tests only.

/// The variable that names the place.
pub(crate) const AT: &str = "NCORE_STORE_CRASH_AT";

/// Ends the process, as a crash would, if this is the place that [`AT`] names.
pub(crate) fn point(place: &str) {
    if std::env::var_os(AT).is_some_and(|at| at == place) {
        std::process::abort();
    }
}

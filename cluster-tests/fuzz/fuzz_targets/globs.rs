//! Globs of a purge: every pattern is refused or compiled, in bounded time, and what matches begins as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, path) = input;
    let Ok(glob) = ncore_model::AssetGlob::parse(pattern) else { return };
    if glob.matches(path) {
        assert!(path.starts_with(glob.literal_prefix()), "{pattern:?} matches {path:?}");
    }
    // A pattern without anything special in it matches itself and nothing else.
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    if !pattern.contains(['*', '?', '[', ']', '{', '}', '\\', ',']) {
        assert_eq!(glob.matches(path), path == pattern, "{pattern:?} and {path:?}");
    }
});

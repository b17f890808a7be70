//! Paths of assets, as a URL has them and as a form has them: what is accepted cannot leave its place, and has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = ncore_cache::path::AssetPath::parse(text) {
        well_formed(path.as_str());
    }
    if let Ok(path) = ncore_model::AssetPath::parse(text) {
        well_formed(path.as_str());
    }
});

fn well_formed(path: &str) {
    assert!(!path.is_empty() && path.len() <= ncore_model::MAX_PATH_BYTES);
    assert!(!path.contains('\0') && !path.starts_with('/'));
    assert!(path.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{path:?}");
    assert_eq!(ncore_model::AssetPath::parse(path).expect("is one").as_str(), path);
}

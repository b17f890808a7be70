//! What `explain` is asked: an address comes apart into a host and a target that make up the same address again, and fields into what they were.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ncore_domain::ZoneQuestion;

fuzz_target!(|input: (&str, Vec<&str>)| {
    let (address, lines) = input;
    for address in [address.to_owned(), format!("https://{address}")] {
        let Ok((host, target)) = ZoneQuestion::split(&address) else { continue };
        assert!(target.starts_with('/') && !target.contains('#'), "{address:?}");
        let again = match &host {
            Some(host) => {
                assert!(!host.is_empty() && !host.contains(['/', '?', '#', '@']), "{address:?}");
                assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()), "{address:?}");
                format!("http://{host}{target}")
            }
            None => target.clone(),
        };
        assert_eq!(ZoneQuestion::split(&again), Ok((host, target)), "{address:?}");
    }
    if let Ok(fields) = ZoneQuestion::fields(lines.iter().copied()) {
        assert_eq!(fields.len(), lines.len());
        let again: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(ZoneQuestion::fields(again.iter().map(String::as_str)), Ok(fields));
    }
});

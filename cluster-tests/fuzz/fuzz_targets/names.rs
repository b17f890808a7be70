//! The names that viewers say (SNI) and those that certificates have: which certificate is shown, beside a search that looks at all of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ncore_serving::fuzzed::shown_for;

fuzz_target!(|input: (Vec<(Vec<&str>, u8)>, Vec<Option<&str>>)| {
    let (certificates, hosts) = input;
    let certificates: Vec<_> = certificates.into_iter().map(|(names, expires_at)| (names, u64::from(expires_at))).collect();
    if certificates.is_empty() {
        return;
    }
    // Beside what was thought of, each name itself, and a host below it.
    let below: Vec<String> = certificates.iter().flat_map(|(names, _)| names).map(|name| format!("a.{}", name.trim_start_matches("*."))).collect();
    let named = certificates.iter().flat_map(|(names, _)| names.iter().map(|name| Some(*name)));
    let hosts: Vec<_> = hosts.into_iter().chain(named).chain(below.iter().map(|host| Some(host.as_str()))).collect();
    for host in hosts {
        assert_eq!(shown_for(&certificates, host), searched(&certificates, host), "{host:?}");
    }
});

fn searched(certificates: &[(Vec<&str>, u64)], host: Option<&str>) -> usize {
    let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let Some(host) = host.map(plain) else { return 0 };
    let is_exact = |name: &str| name == host && is_host(name);
    let is_wild = |name: &str| {
        let parent = name.strip_prefix("*.").filter(|parent| is_host(parent));
        parent.is_some_and(|parent| host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent))
    };
    let best = |covers: &dyn Fn(&str) -> bool| {
        let covering = certificates.iter().enumerate().filter(|(_, (names, _))| names.iter().any(|name| covers(&plain(name))));
        // The first of those that last longest.
        covering.rev().max_by_key(|(_, (_, expires_at))| *expires_at).map(|(at, _)| at)
    };
    best(&is_exact).or_else(|| best(&is_wild)).unwrap_or(0)
}

/// Whether a name without its wildcard can be a host's.
fn is_host(name: &str) -> bool {
    !name.is_empty() && !name.contains('*') && !name.starts_with('.')
}

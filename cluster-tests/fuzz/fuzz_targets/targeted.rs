//! Cache control for some caches only (RFC 9213), a structured field: what is written by its grammar is read as it was meant, and whatever
//! else comes does not bring `Cache-Control` to be heeded beside it.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};
use libfuzzer_sys::fuzz_target;
use ncore_cache::{
    cache_control::{Extent, Flag, MAX_SECONDS},
    targeted::{CDN_CACHE_CONTROL, Directives},
};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Raw(Vec<&'a [u8]>),
    Written(Vec<Vec<(u8, Value<'a>, bool)>>),
}

#[derive(Debug, Clone, Arbitrary)]
enum Value<'a> {
    Integer(i64),
    Decimal(i16, u8),
    Yes,
    No,
    Text(&'a str),
    Token,
    List(u8),
}

const NAMES: [&str; 8] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "no-cache", "private", "no-store", "x-other"];

fuzz_target!(|input: Input<'_>| match input {
    Input::Raw(lines) => {
        let read = Directives::of(&headers(lines.into_iter()), &[CDN_CACHE_CONTROL]);
        if let Directives::Targeted(directives) = read {
            assert!(!directives.has(Flag::Immutable) || directives.max_age_s != Some(COMMON_S), "of the other field");
            let seconds = [directives.max_age_s, directives.s_maxage_s, directives.stale_if_error_s];
            assert!(seconds.iter().flatten().all(|seconds| *seconds <= MAX_SECONDS));
        }
    }
    Input::Written(lines) => {
        let written: Vec<String> = lines.iter().filter(|line| !line.is_empty()).map(|line| printed(line)).collect();
        if written.is_empty() {
            return;
        }
        let read = Directives::of(&headers(written.iter().map(String::as_bytes)), &[CDN_CACHE_CONTROL]);
        let Directives::Targeted(read) = read else { panic!("{written:?} is a dictionary") };
        // Of several with one name the last counts.
        let last = |name: &str| lines.iter().flatten().rev().find(|(at, ..)| named(*at) == name).map(|(_, value, _)| value);
        let seconds = |name| match last(name)? {
            Value::Integer(seconds) => Some(u64::try_from(whole(*seconds)).unwrap_or(0).min(MAX_SECONDS)),
            _ => None,
        };
        assert_eq!(read.max_age_s, seconds("max-age"), "{written:?}");
        assert_eq!(read.s_maxage_s, seconds("s-maxage"), "{written:?}");
        assert_eq!(read.stale_while_revalidate_s, seconds("stale-while-revalidate"), "{written:?}");
        assert_eq!(read.stale_if_error_s, seconds("stale-if-error"), "{written:?}");
        assert_eq!(read.has(Flag::NoStore), matches!(last("no-store"), Some(Value::Yes)), "{written:?}");
        for (name, extent) in [("no-cache", &read.no_cache), ("private", &read.private)] {
            let is_right = match last(name) {
                Some(Value::Yes) => *extent == Extent::Everything,
                Some(Value::Text(_)) => *extent != Extent::Nothing,
                _ => *extent == Extent::Nothing,
            };
            assert!(is_right, "{written:?}: {name} is {extent:?}");
        }
    }
});

/// What the field for everybody says: an age that nothing else says here.
const COMMON_S: u64 = 1_234_567;

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append(CACHE_CONTROL, HeaderValue::from_static("max-age=1234567, immutable"));
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(CDN_CACHE_CONTROL, value);
        }
    }
    headers
}

fn named(at: u8) -> &'static str {
    NAMES[usize::from(at) % NAMES.len()]
}

/// An integer of RFC 9651 has at most fifteen digits.
fn whole(integer: i64) -> i64 {
    integer % 1_000_000_000_000_000
}

fn printed(line: &[(u8, Value<'_>, bool)]) -> String {
    let members = line.iter().map(|(at, value, has_parameter)| {
        let (name, parameter) = (named(*at), if *has_parameter { ";a=1" } else { "" });
        let value = match value {
            Value::Yes => String::new(),
            Value::No => "=?0".to_owned(),
            Value::Integer(integer) => format!("={}", whole(*integer)),
            Value::Decimal(whole, part) => format!("={whole}.{part}"),
            Value::Text(text) => {
                let text: String = text.chars().filter(|char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\')).collect();
                format!("=\"{text}\"")
            }
            Value::Token => "=token".to_owned(),
            Value::List(count) => format!("=({})", vec!["1"; usize::from(count % 4)].join(" ")),
        };
        format!("{name}{value}{parameter}")
    });
    members.collect::<Vec<_>>().join(", ")
}

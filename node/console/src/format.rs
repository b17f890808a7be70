//! Numbers and times as people read them.

use jiff::{Timestamp, tz::TimeZone};

/// What stands for a figure that is not known.
pub(crate) const UNKNOWN: &str = "—";

/// Bytes with a unit of a thousand, as disks and networks have them: `84 KB`, `48.2 MB`, `3.84 GB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes as f64)
}

/// Bytes a second, the number and its unit apart.
pub(crate) fn bytes_s(bytes_s: f64) -> (String, String) {
    let text = scaled(bytes_s);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    (number.to_owned(), format!("{unit}/s"))
}

/// A count with a thin space between thousands.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A rate: whole from ten on, and with one digit more below.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative, and far from the largest integer")]
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        rate if rate >= 10.0 || rate == 0.0 => count(rate.round() as u64),
        rate if rate < 0.1 => "<\u{202f}0.1".to_owned(),
        rate => format!("{rate:.1}"),
    }
}

/// Parts of a thousand as hundredths: `94.7`.
pub(crate) fn percent(per_mille: u64) -> String {
    format!("{}.{}", per_mille / 10, per_mille % 10)
}

/// Microseconds, the number and its unit apart.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn duration(us: u64) -> (String, &'static str) {
    match us {
        0..1_000 => (us.to_string(), "µs"),
        1_000..10_000 => (format!("{:.1}", us as f64 / 1e3), "ms"),
        10_000..1_000_000 => (format!("{:.0}", us as f64 / 1e3), "ms"),
        _ => (format!("{:.1}", us as f64 / 1e6), "s"),
    }
}

/// A time of day, UTC: `06:41:20`.
pub(crate) fn time(ms: u64) -> String {
    formatted(ms, "%H:%M:%S")
}

/// A day: `2025-03-12`.
pub(crate) fn day(ms: u64) -> String {
    formatted(ms, "%Y-%m-%d")
}

/// A month: `2025-03`.
pub(crate) fn month(ms: u64) -> String {
    formatted(ms, "%Y-%m")
}

/// A time as RFC 3339 has it, for machines.
pub(crate) fn machine(ms: u64) -> String {
    formatted(ms, "%Y-%m-%dT%H:%M:%SZ")
}

fn formatted(ms: u64, format: &str) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(0)).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

fn scaled(mut value: f64) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.digits$} {}", UNITS[unit])
}

const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];

#[cfg(test)]
mod tests {
    use super::{bytes, bytes_s, count, day, duration, machine, percent, rate};

    #[test]
    fn as_people_read_it() {
        for (value, expected) in
            [(0, "0 B"), (999, "999 B"), (84_000, "84.0 KB"), (999_999, "1.00 MB"), (48_200_000, "48.2 MB"), (3_840_000_000, "3.84 GB")]
        {
            assert_eq!(bytes(value), expected);
        }
        assert_eq!(bytes_s(3.84e9), ("3.84".to_owned(), "GB/s".to_owned()));
        assert_eq!((count(1_247).as_str(), count(100).as_str(), count(0).as_str()), ("1\u{202f}247", "100", "0"));
        assert_eq!((rate(0.0).as_str(), rate(0.25).as_str(), rate(8340.2).as_str()), ("0", "0.2", "8\u{202f}340"));
        assert_eq!(rate(0.02), "<\u{202f}0.1");
        assert_eq!((percent(947).as_str(), percent(1_000).as_str()), ("94.7", "100.0"));
        for (us, expected) in [(140, ("140", "µs")), (1_450, ("1.4", "ms")), (14_400, ("14", "ms")), (2_500_000, ("2.5", "s"))] {
            let (number, unit) = duration(us);
            assert_eq!((number.as_str(), unit), expected);
        }
        assert_eq!((day(1_748_293_841_000).as_str(), machine(1_748_293_841_000).as_str()), ("2025-05-26", "2025-05-26T21:10:41Z"));
    }
}

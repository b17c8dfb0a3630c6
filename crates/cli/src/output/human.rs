//! Numbers and times for people.

use jiff::Timestamp;
use std::borrow::Cow;

/// Text of others (names, registries' answers) for a terminal: a control character could make it show what is not so.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The first 12 hex digits, without the algorithm.
pub(crate) fn short_id(id: &str) -> String {
    let hex = id.rsplit_once(':').map_or(id, |(_, hex)| hex);
    hex.chars().take(12).collect()
}

/// Decimal units, three digits: `742 B`, `1.24 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// How long before `now` (both nanoseconds since 1970), in its two largest units at most; `-` for "not yet".
pub(crate) fn ago(then: i64, now: i64) -> String {
    if then <= 0 {
        return "-".to_owned();
    }
    let seconds = (now - then).max(0) / 1_000_000_000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// RFC 3339 with nanoseconds; `-` for "not yet".
pub(crate) fn exact_time(nanoseconds: i64) -> String {
    match Timestamp::from_nanosecond(nanoseconds.into()) {
        Ok(time) if nanoseconds > 0 => time.to_string(),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1240, "1.24 kB"),
            (9_999, "10.0 kB"),
            (123_456_789, "123 MB"),
            (999_999_999, "1.00 GB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{9b}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
        assert!(matches!(plain("größe"), Cow::Borrowed(_)));
    }

    #[test]
    fn times_and_ids() {
        let second = 1_000_000_000;
        assert_eq!(ago(0, 5), "-");
        assert_eq!(ago(1, 1 + 59 * second), "59 s ago");
        assert_eq!(ago(1, 1 + 7200 * second), "2 h ago");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(exact_time(0), "-");
        assert_eq!(exact_time(1), "1970-01-01T00:00:00.000000001Z");
    }
}

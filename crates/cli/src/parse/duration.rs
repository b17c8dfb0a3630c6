//! `--since`: a moment (RFC 3339) or how long ago (`90s`, `10m`, `1h30m`, `2d`).

use jiff::{SignedDuration, Timestamp};

/// The moment meant, with `now` as the base of a relative one.
pub(crate) fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let bad = || format!("{text:?} is neither a time (RFC 3339) nor a span such as 10m, 1h30m or 2d");
    let seconds = span(text).ok_or_else(bad)?;
    now.checked_sub(SignedDuration::from_secs(seconds)).map_err(|_| bad())
}

/// Seconds of `1h30m`-like text; each part needs its unit.
fn span(text: &str) -> Option<i64> {
    let (mut total, mut rest) = (0_i64, text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..end].parse().ok()?;
        let unit = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end + 1..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("time");
        let at = |text: &str| since(text, now).map(|t| t.to_string());
        assert_eq!(at("90s").as_deref(), Ok("2026-11-22T11:58:30Z"));
        assert_eq!(at("1h30m").as_deref(), Ok("2026-11-22T10:30:00Z"));
        assert_eq!(at("2026-01-02T03:04:05Z").as_deref(), Ok("2026-01-02T03:04:05Z"));
        for text in ["", "10", "m", "5x", "1h30", "yesterday"] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}

//! `-m SIZE` and `--cpus N`: sizes with binary suffixes, and processors as a quota.

/// Bytes from `512`, `64k`, `100m`, `1.5g`, `2T`, `10MiB`; suffixes count in 1024s, in either case.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is not a size (such as 512, 64k, 100m or 1.5g)");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(bad()),
    };
    let bytes = scaled(number, 1 << shift).ok_or_else(bad)?;
    if bytes == 0 {
        return Err("a limit of nothing lets nothing run".to_owned());
    }
    Ok(bytes)
}

/// Microseconds of quota in the usual period of 100 ms.
pub(crate) fn parse_cpus(text: &str) -> Result<i64, String> {
    match scaled(text, 100_000) {
        // The kernel's smallest quota is 1 ms.
        Some(quota) if quota >= 1000 => Ok(quota),
        _ => Err(format!("{text:?} is not a number of processors (0.01 or more)")),
    }
}

/// `text` times `factor`, exactly, without going through floating point. At most nine decimals.
fn scaled(text: &str, factor: i64) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || decimals.len() > 9 || text.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(factor)?;
    if decimals.is_empty() {
        return Some(whole);
    }
    let part = i128::from(decimals.parse::<u32>().ok()?) * i128::from(factor)
        / 10_i128.pow(u32::try_from(decimals.len()).ok()?);
    whole.checked_add(i64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512", 512),
            ("64k", 65536),
            ("100M", 104_857_600),
            ("1.5g", 1_610_612_736),
            ("2KiB", 2048),
            ("1t", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1..5", "1.", ".5", "99999999999t", "0", "1e3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors() {
        assert_eq!(parse_cpus("0.5"), Ok(50_000));
        assert_eq!(parse_cpus("2"), Ok(200_000));
        for text in ["0", "0.001", "two", "-1"] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }
}

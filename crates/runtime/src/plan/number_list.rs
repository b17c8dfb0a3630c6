//! Lists of CPUs and NUMA nodes as cpuset(7) writes them: `0-3,7`.

/// Each number of the list; the error says what is wrong with it. `limit` is the first number that is too large.
pub(super) fn parse(text: &str, limit: usize) -> Result<Vec<usize>, String> {
    let mut out = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<usize>().ok().filter(|_| plain).ok_or_else(|| format!("{text:?} is no list such as 0-3,7"))
        };
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(format!("{text:?}: the range {part} runs backwards"));
        }
        if last >= limit {
            return Err(format!("{text:?}: {last} is above {}", limit - 1));
        }
        out.extend(first..=last);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists_of_numbers_and_ranges() {
        assert_eq!(parse("0-2,7", 8), Ok(vec![0, 1, 2, 7]));
        assert_eq!(parse("3, 1", 8), Ok(vec![3, 1]));
        for bad in ["", ",", "1,", "a", "1-", "-1", "2-1", "8", "0-8", "+1", "1-2-3", "0x1"] {
            assert!(parse(bad, 8).is_err(), "{bad}");
        }
    }
}

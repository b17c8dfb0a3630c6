//! `--user`: digits, or digits, a colon and digits; each below 4294967295 (CVE-2026-30892).

use plimsoll_runtime::parse_user;

/// The table of runc's documented form, read letter by letter.
fn oracle(text: &str) -> Option<(u32, Option<u32>)> {
    let (mut numbers, mut digits) = (vec![0_u64], 0);
    for letter in text.chars() {
        match letter {
            '0'..='9' => {
                let last = numbers.last_mut()?;
                *last = (*last * 10 + u64::from(letter) - 48).min(u64::from(u32::MAX));
                digits += 1;
            }
            ':' if digits > 0 && numbers.len() == 1 => {
                numbers.push(0);
                digits = 0;
            }
            _ => return None,
        }
    }
    let small = |number: &u64| u32::try_from(*number).ok().filter(|id| *id != u32::MAX);
    let ids: Option<Vec<u32>> = numbers.iter().map(small).collect();
    let ids = ids.filter(|_| digits > 0)?;
    Some((ids[0], ids.get(1).copied()))
}

pub fn body(data: &[u8]) {
    // Letters that matter come often.
    let letters = ['0', '1', '2', '4', '9', ':', '-', '+', ' ', 'a', '٣', '.', '\n'];
    let likely: String = data.iter().take(14).map(|byte| letters[usize::from(*byte) % letters.len()]).collect();
    for text in [likely.as_str(), &String::from_utf8_lossy(data)] {
        assert_eq!(parse_user(text), oracle(text), "{text:?}");
    }
}

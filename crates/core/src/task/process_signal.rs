//! Signals by name.

/// Names in number order from 1, as Linux numbers them on all architectures that we run on (signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
const RTMIN: u32 = 34;
const RTMAX: u32 = 64;

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`. `None` for what is no signal.
pub(crate) fn signal_number(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse::<u32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = short.strip_prefix("RTMIN") {
        let offset =
            if rest.is_empty() { 0 } else { rest.strip_prefix(['+', 'P'])?.trim_start_matches("LUS").parse().ok()? };
        return Some(RTMIN.checked_add(offset)?).filter(|number| *number <= RTMAX);
    }
    if let Some(rest) = short.strip_prefix("RTMAX") {
        let offset: u32 =
            if rest.is_empty() { 0 } else { rest.strip_prefix(['-', 'M'])?.trim_start_matches("INUS").parse().ok()? };
        return RTMAX.checked_sub(offset).filter(|number| *number >= RTMIN);
    }
    let alias = match short {
        "IOT" => "ABRT",
        "POLL" => "IO",
        "CLD" => "CHLD",
        other => other,
    };
    NAMES.iter().position(|known| *known == alias).and_then(|index| u32::try_from(index + 1).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let cases = [
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGSYS", 31),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("SIGRTMINPLUS3", 37),
            ("SIGRTMAX-14", 50),
            ("SIGRTMAXMINUS14", 50),
            ("RTMAX", 64),
        ];
        for (name, number) in cases {
            assert_eq!(signal_number(name), Some(number), "{name}");
        }
        for bad in ["", "0", "65", "SIGNOPE", "RTMIN+31", "RTMAX-31", "-9"] {
            assert_eq!(signal_number(bad), None, "{bad}");
        }
    }
}

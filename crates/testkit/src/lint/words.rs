//! Words that must not be in the project's files: unfinished marks, and the names of the machine and of the package hosts
//! that it happens to be built with (read from its own settings, so that none has to be written here).

use super::files;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Built from parts, so that this file does not contain them.
fn marks() -> Vec<String> {
    [("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("HA", "CK:")].iter().map(|(a, b)| format!("{a}{b}")).collect()
}

pub fn words() -> Vec<String> {
    let (marks, hosts) = (marks(), local_hosts());
    let mut problems = Vec::new();
    for path in files() {
        // Lock files name what cargo and go resolved.
        if path.extension().is_some_and(|e| e == "lock" || e == "sum") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = marks.iter().chain(&hosts).find(|word| line.contains(word.as_str())) {
                problems.push(format!("{}:{}: contains {word:?}", path.display(), number + 1));
            }
        }
    }
    problems
}

/// This machine's name (when it is no ordinary word) and the hosts of its package sources.
fn local_hosts() -> Vec<String> {
    let mut text = String::new();
    let home =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap_or_default()));
    for file in [format!("{home}/config.toml"), format!("{home}/config"), "/etc/apt/sources.list".into()] {
        text += &fs::read_to_string(file).unwrap_or_default();
    }
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        text += &fs::read_to_string(entry.path()).unwrap_or_default();
    }
    if let Ok(output) = Command::new("go").args(["env", "GOPROXY"]).output() {
        text += &String::from_utf8_lossy(&output.stdout);
    }
    let mut hosts: Vec<String> = text.split("://").skip(1).filter_map(host).collect();
    let name = fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default().trim().to_owned();
    if name.len() > 5 && name.contains(|c: char| c.is_ascii_digit() || c == '-') {
        hosts.push(name);
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The host at the front of what follows `://`, unless it is one that everybody knows.
fn host(rest: &str) -> Option<String> {
    const KNOWN: [&str; 3] = ["github.com", "localhost", "127.0.0.1"];
    let authority = rest.split(|c: char| c == '/' || c == '"' || c == '\'' || c == ',' || c.is_whitespace()).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (host.len() > 3 && !KNOWN.contains(&host)).then(|| host.to_owned())
}

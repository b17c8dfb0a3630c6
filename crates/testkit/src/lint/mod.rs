//! The project's own rules. Each returns the problems it found, a line each. Run from the workspace's root.

mod direction;
mod words;

pub use direction::{direction, executors};
pub use words::words;

use std::path::PathBuf;
use std::process::Command;

/// The files under version control.
pub fn files() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output();
    let bytes = output.map(|o| o.stdout).unwrap_or_default();
    let names = bytes.split(|b| *b == 0).filter(|n| !n.is_empty());
    names.map(|n| PathBuf::from(String::from_utf8_lossy(n).into_owned())).filter(|p| p.is_file()).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = files().into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    rust.filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text))).collect()
}

/// `unsafe` outside crates/sys, also where the compiler does not look (another target's code, macros). An `allow` of the
/// lint is a problem too.
pub fn unsafe_code() -> Vec<String> {
    const WORDS: [&str; 5] = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"];
    let here = |path: &PathBuf| !path.starts_with("crates/sys") && !path.starts_with("crates/testkit/src/lint");
    let outside = sources().into_iter().filter(|(path, _)| here(path));
    let mut problems = Vec::new();
    for (path, text) in outside {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if WORDS.iter().any(|word| code.contains(word)) {
                problems.push(format!("{}:{}: unsafe belongs in crates/sys", path.display(), number + 1));
            }
        }
    }
    problems
}

/// Median and 90th percentile of the lines of source files without tests, and the files above 400 lines.
pub fn file_lengths() -> (usize, usize, Vec<(String, usize)>) {
    let is_code = |path: &PathBuf| path.starts_with("crates") && !path.components().any(|c| c.as_os_str() == "tests");
    let all = sources().into_iter().map(|(path, text)| (path, text.lines().count()));
    let all: Vec<(PathBuf, usize)> = all.collect();
    let long =
        all.iter().filter(|(_, lines)| *lines > 400).map(|(p, lines)| (p.display().to_string(), *lines)).collect();
    let mut lengths: Vec<usize> = all.iter().filter(|(path, _)| is_code(path)).map(|(_, lines)| *lines).collect();
    lengths.sort_unstable();
    let at = |part: usize| {
        lengths.get((lengths.len() * part / 100).min(lengths.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    (at(50), at(90), long)
}

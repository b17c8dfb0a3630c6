//! The heading and the table of memory, as Markdown.

use super::memory::Memory;
use std::fmt::Write;

/// A table of resident memory.
pub fn memory(found: &[Memory]) -> String {
    let mut out = "| program | RSS MB | PSS MB | private MB |\n|---|---|---|---|\n".to_owned();
    let mb = |kb: u64| kb as f64 / 1024.0;
    for one in found {
        let (rss, pss, private) = (mb(one.rss), mb(one.pss), mb(one.private));
        line(&mut out, format_args!("| {} | {rss:.1} | {pss:.1} | {private:.1} |", one.program));
    }
    out
}

/// The machine and the versions, so that figures can be told apart later.
pub fn heading(versions: &[String]) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let found = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = field(&read("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|kb| kb.parse::<u64>().ok());
    let mut out = String::new();
    line(
        &mut out,
        format_args!(
            "{} · {cores} cores of {} · {:.0} GiB · Linux {}\n",
            date(),
            field(&read("/proc/cpuinfo"), "model name"),
            memory.unwrap_or(0) as f64 / 1048576.0,
            read("/proc/sys/kernel/osrelease").trim()
        ),
    );
    for version in versions {
        line(&mut out, format_args!("- {version}"));
    }
    out
}

fn date() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

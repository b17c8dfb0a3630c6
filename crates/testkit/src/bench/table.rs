//! The results as Markdown.

use super::gate::Gate;
use super::memory::Memory;
use super::start::{Layout, Series};
use std::fmt::Write;

/// The value below which `share` of the sorted `values` lie.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A table of one layout. The ratios are the peer's median to plimrun's in the same case, of the time from start to end and of the processor time.
pub fn starts(layout: Layout, series: &[Series], gate: Gate) -> String {
    let ours = |case: &str| series.iter().find(|s| s.runtime == "plimrun" && s.case == case);
    let ratio =
        |ours: Option<f64>, peer: f64| ours.map_or_else(|| "–".to_owned(), |ours| format!("{:.2}", peer / ours));
    let rounds = series.first().map_or(0, |s| s.millis.len());
    let mut out = format!(
        "### `run` of /bin/true, cgroup {} layout\n\n{rounds} rounds in turn, each run after 60 ms of quiet ({} checks, {} waited, {} still noisy).\n\n",
        layout.name(),
        gate.checks,
        gate.waited,
        gate.noisy
    );
    out.push_str(
        "| runtime | bundle | median ms | p10 | p90 | × plimrun | CPU ms | × |\n|---|---|---|---|---|---|---|---|\n",
    );
    for one in series {
        let (name, case, middle) = (&one.runtime, &one.case, median(&one.millis));
        let (low, high) = (quantile(&one.millis, 0.1), quantile(&one.millis, 0.9));
        let wall = ratio(ours(case).map(|s| median(&s.millis)), middle);
        let (cpu, work) = (median(&one.cpu), ratio(ours(case).map(|s| median(&s.cpu)), median(&one.cpu)));
        line(
            &mut out,
            format_args!("| {name} | {case} | {middle:.2} | {low:.2} | {high:.2} | {wall} | {cpu:.2} | {work} |"),
        );
    }
    out
}

/// A table of resident memory.
pub fn memory(found: &[Memory]) -> String {
    let mut out =
        "### Memory with one pod of one container\n\n| program | RSS MB | PSS MB | private MB |\n|---|---|---|---|\n"
            .to_owned();
    let mb = |kb: u64| kb as f64 / 1024.0;
    for one in found {
        let (rss, pss, private) = (mb(one.rss), mb(one.pss), mb(one.private));
        line(&mut out, format_args!("| {} | {rss:.1} | {pss:.1} | {private:.1} |", one.program));
    }
    out
}

/// The machine and the versions, so that figures can be told apart later.
pub fn heading(versions: &[(String, String)]) -> String {
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
    for (name, version) in versions {
        line(&mut out, format_args!("- {name}: {version}"));
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

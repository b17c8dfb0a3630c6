//! The table of verdicts as a page: what every runtime did with every case.

use super::verdict::Verdict;
use super::{Case, areas, verdict};
use crate::runtimes::Runtime;
use std::fmt::Write;

/// One area's cases with the verdicts of every runtime.
#[derive(Debug)]
pub struct Results {
    pub area: &'static str,
    pub cases: Vec<Case>,
    pub verdicts: Vec<Vec<Verdict>>,
}

/// Runs everything; `width` cases at a time.
pub fn results(runtimes: &[Runtime], width: usize) -> Vec<Results> {
    let one = |(area, cases): (&'static str, Vec<Case>)| {
        let verdicts = verdict::all(&cases, runtimes, width);
        Results { area, cases, verdicts }
    };
    areas().into_iter().map(one).collect()
}

/// The page: a summary, then a table per area.
pub fn page(results: &[Results], runtimes: &[Runtime], versions: &[String]) -> String {
    let mut page = String::from(HEAD);
    let total: usize = results.iter().map(|area| area.cases.len()).sum();
    let names: Vec<String> =
        runtimes.iter().zip(versions).map(|(runtime, version)| format!("{} {version}", runtime.0)).collect();
    line(&mut page, &format!("{total} cases. Compared: {}.\n", names.join(", ")));
    let columns: Vec<&str> = runtimes.iter().map(|runtime| runtime.0).collect();
    line(&mut page, &format!("| area | cases | {} |", columns.join(" | ")));
    line(&mut page, &format!("|---|---|{}", "---|".repeat(columns.len())));
    for area in results {
        let passed = |index: usize| area.verdicts.iter().filter(|case| case[index].passed).count().to_string();
        let cells: Vec<String> = (0..columns.len()).map(passed).collect();
        line(&mut page, &format!("| {} | {} | {} |", area.area, area.cases.len(), cells.join(" | ")));
    }
    for area in results {
        line(&mut page, &format!("\n## {}\n", area.area));
        line(&mut page, &format!("| case | section | {} | why ours |", columns.join(" | ")));
        line(&mut page, &format!("|---|---|{}---|", "---|".repeat(columns.len())));
        for (case, verdicts) in area.cases.iter().zip(&area.verdicts) {
            let cells: Vec<String> = verdicts.iter().map(cell).collect();
            line(&mut page, &format!("| {} | {} | {} | {} |", case.name, case.section, cells.join(" | "), case.argued));
        }
    }
    page
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a string cannot fail");
}

const HEAD: &str = "# OCI runtime: verdicts\n\nWhat each runtime does with each case of the contract suite (`crates/testkit/src/contract`), written by `contract --write` on a \
    host with cgroup v1, without AppArmor and SELinux. A case passes when exactly what is expected is seen and nothing is left behind; else the cell shows what was seen. \
    `plimrun` passes all of them; the last column argues where the peers do not agree with it.\n\n";

/// `✓`, or what was seen instead, short.
fn cell(verdict: &Verdict) -> String {
    if verdict.passed {
        return "✓".into();
    }
    // Ids, paths and times of one run are not the runtime's.
    let seen = verdict.seen.trim().replace('\n', " ⏎ ").replace('|', "/").replace('`', "'");
    let seen = if seen.starts_with("panic") { "a verb failed".to_owned() } else { seen };
    let seen = seen.split("left:").next().map_or_else(String::new, |before| {
        if seen.contains("left:") { format!("{before}leaves something") } else { seen.clone() }
    });
    let short: String = seen.chars().take(36).collect();
    format!("✗ `{}`", if short.trim().is_empty() { "nothing" } else { short.trim() })
}

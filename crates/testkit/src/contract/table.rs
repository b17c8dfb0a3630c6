//! The table of verdicts as a page: what every runtime did with every case.

use super::verdict::Verdict;
use super::{Case, areas, verdict};
use crate::runtimes::Runtime;
use std::collections::BTreeMap;
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

/// A column of an earlier page: of a runtime that is not here now.
#[derive(Debug)]
pub struct Kept {
    /// Its name and version, as in the page.
    title: String,
    /// By area and case.
    cells: BTreeMap<(String, String), String>,
}

impl Kept {
    /// The last column of peers in `page`, if it is of the runtime called `name`.
    pub fn read(page: &str, name: &str) -> Option<Kept> {
        let compared = page.lines().find_map(|line| line.split_once("Compared: "))?.1.trim_end_matches('.');
        let title = compared.split(", ").find(|title| title.split(' ').next() == Some(name))?.to_owned();
        let mut cells = BTreeMap::new();
        for section in page.split("\n## ").skip(1) {
            let area = section.lines().next().unwrap_or_default();
            let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
            let mut rows = rows.map(|row| row.split(" | ").collect::<Vec<&str>>());
            let column = rows.next()?.iter().position(|head| *head == name)?;
            for row in rows {
                let cell = row.get(column).copied().unwrap_or("");
                cells.insert((area.to_owned(), row[0].to_owned()), cell.to_owned());
            }
        }
        Some(Kept { title, cells })
    }

    fn cell(&self, area: &str, case: &str) -> String {
        self.cells.get(&(area.to_owned(), case.to_owned())).cloned().unwrap_or_else(|| "not asked".to_owned())
    }
}

/// The page: a summary, then a table per area. `titles` are names and versions of the runtimes.
pub fn page(results: &[Results], titles: &[String], kept: Option<&Kept>) -> String {
    let mut page = String::from(HEAD);
    let total: usize = results.iter().map(|area| area.cases.len()).sum();
    let titles: Vec<&str> = titles.iter().chain(kept.map(|kept| &kept.title)).map(String::as_str).collect();
    line(&mut page, &format!("{total} cases. Compared: {}.\n", titles.join(", ")));
    let columns: Vec<&str> = titles.iter().map(|title| title.split(' ').next().unwrap_or_default()).collect();
    line(&mut page, &format!("| area | cases | {} |", columns.join(" | ")));
    line(&mut page, &format!("|---|---|{}", "---|".repeat(columns.len())));
    let rows: Vec<(&Results, Vec<Vec<String>>)> = results.iter().map(|area| (area, cells(area, kept))).collect();
    for (area, rows) in &rows {
        let passed = |column: usize| rows.iter().filter(|row| row[column] == PASSED).count().to_string();
        let counts: Vec<String> = (0..columns.len()).map(passed).collect();
        line(&mut page, &format!("| {} | {} | {} |", area.area, area.cases.len(), counts.join(" | ")));
    }
    for (area, rows) in &rows {
        line(&mut page, &format!("\n## {}\n", area.area));
        line(&mut page, &format!("| case | section | {} | why ours |", columns.join(" | ")));
        line(&mut page, &format!("|---|---|{}---|", "---|".repeat(columns.len())));
        for (case, row) in area.cases.iter().zip(rows) {
            line(&mut page, &format!("| {} | {} | {} | {} |", case.name, case.section, row.join(" | "), case.argued));
        }
    }
    page
}

/// A row for each case.
fn cells(area: &Results, kept: Option<&Kept>) -> Vec<Vec<String>> {
    let row = |(case, verdicts): (&Case, &Vec<Verdict>)| {
        verdicts.iter().map(cell).chain(kept.map(|kept| kept.cell(area.area, case.name))).collect()
    };
    area.cases.iter().zip(&area.verdicts).map(row).collect()
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a string cannot fail");
}

const HEAD: &str = "# OCI runtime: verdicts\n\nWhat each runtime does with each case of the contract suite (`crates/testkit/src/contract`), written by `contract --write` on a \
    host with cgroup v1, without AppArmor and SELinux. A case passes when exactly what is expected is seen and nothing is left behind; else the cell shows what was seen. \
    `plimrun` passes all of them; the last column argues where the peers do not agree with it. youki, which takes minutes to build, is asked on \
    request (`peers.sh youki`); otherwise its column stays as it was. `hangs`: it had not ended after five seconds.\n\n";

const PASSED: &str = "✓";

/// `✓`, or what was seen instead, short.
fn cell(verdict: &Verdict) -> String {
    if verdict.passed {
        return PASSED.into();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every case, passed by plimrun and not by youki, of which only the first `width` were asked.
    fn asked(width: usize) -> Vec<Results> {
        let verdict = |runtime, passed| Verdict { runtime, seen: "hangs".into(), passed, said: String::new() };
        let both = [verdict("plimrun", true), verdict("youki", false)];
        let one = |(area, cases): (&'static str, Vec<Case>)| {
            let verdicts = cases.iter().map(|_| both[..width].to_vec()).collect();
            Results { area, cases, verdicts }
        };
        areas().into_iter().map(one).collect()
    }

    #[test]
    fn a_column_that_is_kept_stays_as_it_was() {
        let titles = ["plimrun 1".to_owned(), "youki 2".to_owned()];
        let before = page(&asked(2), &titles, None);
        let kept = Kept::read(&before, "youki").expect("a column");
        assert_eq!(page(&asked(1), &titles[..1], Some(&kept)), before);
        assert!(Kept::read(&page(&asked(1), &titles[..1], None), "youki").is_none());
    }
}

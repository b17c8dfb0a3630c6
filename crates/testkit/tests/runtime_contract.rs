//! plimrun passes the whole contract suite. What the peers did with it is in the table that `contract --write` wrote.
#![cfg(feature = "privileged")]

use plimsoll_testkit::contract::{self, verdict};
use plimsoll_testkit::runtimes::Runtime;

/// How many cases of an area at a time.
const WIDTH: usize = 2;
const TABLE: &str = include_str!("../../../docs/contracts/oci-runtime-verdicts.md");

#[track_caller]
fn holds(area: &str) {
    let cases = contract::area(area);
    let mut wrong = Vec::new();
    for (case, verdicts) in cases.iter().zip(verdict::all(&cases, &[Runtime("plimrun")], WIDTH)) {
        if let Some(ours) = verdicts.iter().find(|ours| !ours.passed) {
            wrong
                .push(format!("{}: expected {:?}, seen {:?}; said {}", case.name, case.expected, ours.seen, ours.said));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn the_suite_is_large_and_its_names_are_unique() {
    let mut total = 0;
    for (area, cases) in contract::areas() {
        let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases.len(), "{area}");
        total += names.len();
    }
    assert!(total >= 150, "{total}");
}

/// Every case is in the table, and is one that a peer passes too, or is argued.
#[test]
fn the_table_has_every_case() {
    let mut wrong = Vec::new();
    for (area, cases) in contract::areas() {
        let section = TABLE.split("\n## ").find(|section| section.starts_with(area)).unwrap_or_default();
        for case in cases {
            let row = section.lines().find(|line| line.starts_with(&format!("| {} |", case.name))).unwrap_or_default();
            let cells: Vec<&str> = row.split(" | ").collect();
            let passed = |cells: &[&str]| cells.contains(&"✓");
            if !passed(cells.get(2..3).unwrap_or_default()) {
                wrong.push(format!("{area} {}: not in the table, or not passed", case.name));
            } else if case.argued.is_empty() && !passed(&cells[3..]) {
                wrong.push(format!("{area} {}: no peer passes it, and nothing is argued", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "`./dev conformance` writes it anew:\n{}", wrong.join("\n"));
}

macro_rules! areas {
    ($($area:ident),*) => { $(#[test] fn $area() { holds(stringify!($area)); })* };
}
areas!(lifecycle, process, mounts, namespaces, cgroups, seccomp, hooks, io, errors);

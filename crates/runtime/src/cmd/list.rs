//! `plimrun list [--format table|json] [--quiet]`

use crate::args::{Flag, Global, parse, usage};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::State;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::Short("format", "f"), Flag::ShortSwitch("quiet", "q")], words, usize::MAX)?;
    parsed.at_most(0)?;
    let list = plimsoll_runtime::list(&global.root()?)?;
    if parsed.has("quiet") {
        list.iter().for_each(|state| println!("{}", state.id));
        return Ok(ExitCode::SUCCESS);
    }
    match parsed.value("format").unwrap_or("table") {
        "table" => table(&list),
        // One line, as runc prints it.
        "json" => println!("{}", serde_json::to_string(&list).unwrap_or_default()),
        other => return Err(usage(format!("invalid format option {other:?}"))),
    }
    Ok(ExitCode::SUCCESS)
}

fn table(list: &[State]) {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let row = |s: &State| {
        [s.id.clone(), s.pid.to_string(), s.status.to_string(), s.bundle.clone(), s.created.clone(), s.owner.clone()]
    };
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(list.iter().map(row)).collect();
    // Columns at least 12 wide and 3 apart, as runc's.
    let width = |column: usize| rows.iter().map(|r| r[column].len() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<usize> = (0..6).map(width).collect();
    for row in &rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", line.trim_end());
    }
}

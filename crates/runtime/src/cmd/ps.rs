//! `plimrun ps [--format table|json] ID [ps options]`: JSON is a list of pids, the table is ps(1)'s, kept to them.

use crate::args::{Flag, Global, parse, usage};
use plimsoll_fault::Fault;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::Short("format", "f")], words, 1)?;
    let pids = plimsoll_runtime::processes(&global.root()?, parsed.id()?)?;
    let pids: Vec<i32> = pids.into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
    match parsed.value("format").unwrap_or("table") {
        "json" => println!("{}", serde_json::to_string(&pids).unwrap_or_default()),
        "table" => table(&pids, parsed.operands.get(1..).unwrap_or_default())?,
        other => return Err(usage(format!("invalid format option {other:?}"))),
    }
    Ok(ExitCode::SUCCESS)
}

fn table(pids: &[i32], options: &[String]) -> Result<(), Fault> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default } else { options };
    let output = Command::new("ps").args(options).output().map_err(|e| usage("cannot run ps").because(&e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(usage(format!("ps {} failed: {}", options.join(" "), output.status)).why(said.trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| usage("ps printed no PID column"))?;
    println!("{head}");
    let ours =
        |line: &&str| line.split_whitespace().nth(column).is_some_and(|p| p.parse().is_ok_and(|p| pids.contains(&p)));
    lines.filter(ours).for_each(|line| println!("{line}"));
    Ok(())
}

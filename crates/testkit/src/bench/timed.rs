//! Running one command and learning what it took.

use crate::Scratch;
use plimsoll_sys::process::Exit;
use plimsoll_sys::usage;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

/// One contender in one case: a number of each kind per round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Series {
    pub contender: String,
    pub case: String,
    pub millis: Vec<f64>,
    /// Processor time of the program and of what it waited for, in milliseconds.
    pub cpu: Vec<f64>,
    /// Largest resident set of any of them, in KiB.
    pub peak: Option<u64>,
}

impl Series {
    pub fn new(contender: &str, case: &str) -> Series {
        Series { contender: contender.to_owned(), case: case.to_owned(), ..Series::default() }
    }

    /// Runs the command once more, from its start to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not exit with 0.
    pub fn once(&mut self, command: &mut Command) -> Result<(), String> {
        let began = Instant::now();
        let child = command.spawn().map_err(|error| error.to_string())?;
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or("no pid")?;
        let (exit, processor) = usage::wait(pid).map_err(|error| error.to_string())?;
        let took = began.elapsed();
        if exit != Exit::Code(0) {
            return Err(format!("{} {}: {exit:?}", self.contender, self.case));
        }
        self.millis.push(took.as_secs_f64() * 1000.0);
        self.cpu.push(processor.as_secs_f64() * 1000.0);
        Ok(())
    }

    /// Runs the command once more under GNU time. Asked of the kernel here, the answer would be our own resident set: a
    /// process begins as a copy of its parent.
    pub fn measure_peak(&mut self, scratch: &Scratch, command: &Command) {
        let report = scratch.join("peak");
        let mut timed = Command::new("/usr/bin/time");
        timed.args(["-f", "%M", "-o"]).arg(&report).arg(command.get_program()).args(command.get_args());
        let done = timed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if done.is_ok_and(|status| status.success()) {
            let text = std::fs::read_to_string(&report).unwrap_or_default();
            self.peak = text.trim().parse().ok();
        }
    }

    pub fn median(&self) -> f64 {
        quantile(&self.millis, 0.5)
    }
}

fn cell(values: &[f64]) -> String {
    if values.is_empty() { "–".to_owned() } else { format!("{:.2}", quantile(values, 0.5)) }
}

/// The value below which `share` of the values lie.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1)) as f64 * share;
    sorted.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}

/// A table: each line's medians, and how many times plimrun's of the same case they are.
pub fn table(series: &[Series]) -> String {
    let mut out = String::from(
        "| program | case | median ms | p10 | p90 | × plimrun | CPU ms | × | peak MB |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for one in series {
        let ours = series.iter().find(|s| s.contender == "plimrun" && s.case == one.case);
        let ratio = |mine: f64, ours: Option<f64>| {
            ours.filter(|_| mine.is_finite()).map_or_else(|| "–".to_owned(), |ours| format!("{:.2}", mine / ours))
        };
        let (time, cpu) = (quantile(&one.cpu, 0.5), cell(&one.cpu));
        let peak = one.peak.map_or_else(|| "–".to_owned(), |kb| format!("{:.1}", kb as f64 / 1024.0));
        writeln!(
            out,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {} | {cpu} | {} | {peak} |",
            one.contender,
            one.case,
            one.median(),
            quantile(&one.millis, 0.1),
            quantile(&one.millis, 0.9),
            ratio(one.median(), ours.map(Series::median)),
            ratio(time, ours.map(|s| quantile(&s.cpu, 0.5))),
        )
        .expect("writing to a string cannot fail");
    }
    out
}

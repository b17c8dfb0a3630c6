//! Many containers at once: how many a second each runtime creates, starts, lets end and deletes with eight callers.

use super::contender::{Contender, complain};
use super::start::prepared;
use crate::Scratch;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

const CALLERS: usize = 8;

/// What one runtime did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crowd {
    pub contender: String,
    pub containers: u32,
    pub failures: u32,
    pub seconds: f64,
}

/// `containers` runs of `/bin/true` by each runtime, one runtime after the other.
pub fn measure(containers: u32, state: &Path) -> Vec<Crowd> {
    let scratch = Scratch::new();
    Contender::all().iter().map(|contender| one(&scratch, contender, containers, state)).collect()
}

fn one(scratch: &Scratch, contender: &Contender, containers: u32, state: &Path) -> Crowd {
    // Without a fixed cgroupsPath each container has a group of its own name.
    let mut made = prepared(scratch, false);
    if let Some(linux) = made.config["linux"].as_object_mut() {
        linux.remove("cgroupsPath");
    }
    made.set("/linux/resources", serde_json::json!({}));
    let (next, failures) = (AtomicU32::new(0), AtomicU32::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= containers {
                        return;
                    }
                    let id = scratch.id(&format!("{}-crowd{number}", contender.slug()));
                    let mut command: Command = contender.command(scratch, state);
                    command.args(["run", "--bundle"]).arg(&made.path).arg(&id);
                    if let Err(why) = ended_well(&mut command) {
                        complain(&format!("{id}: {why}"));
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    Crowd { contender: contender.name.clone(), containers, failures: failures.into_inner(), seconds }
}

fn ended_well(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Markdown.
pub fn table(found: &[Crowd]) -> String {
    let mut out = String::from("| runtime | containers | failures | a second | plimrun's × |\n|---|---|---|---|---|\n");
    let rate = |one: &Crowd| f64::from(one.containers - one.failures) / one.seconds;
    let ours = found.iter().find(|one| one.contender == "plimrun").map_or(f64::NAN, rate);
    for one in found {
        let line = format!(
            "| {} | {} | {} | {:.0} | {:.2} |\n",
            one.contender,
            one.containers,
            one.failures,
            rate(one),
            ours / rate(one)
        );
        out.push_str(&line);
    }
    out
}

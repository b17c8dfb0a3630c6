//! For the benchmark: `exec` as a shim calls it, through the linked crate in a forked worker, without starting a program for it.
//!
//! `linked-exec ROOT ID ROUNDS PAUSE_MS` prints the milliseconds of each `exec true` from the fork to the end of the process.

#![allow(clippy::print_stdout)] // A program: its output is what it is for.

use plimsoll_runtime::{ExecRequest, Root, container_process, exec};
use plimsoll_sys::{SingleThread, fork};
use rustix::process::{WaitOptions, wait};
use std::error::Error;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, id, rounds, pause] = args.as_slice() else {
        return Err("usage: linked-exec ROOT ID ROUNDS PAUSE_MS".into());
    };
    let token = SingleThread::prove()?;
    let root = Root::open(root)?;
    let pause = Duration::from_millis(pause.parse()?);
    // The process is the worker's child and outlives it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    for _ in 0..rounds.parse::<u32>()? {
        std::thread::sleep(pause);
        println!("{:.4}", once(&token, &root, id)?.as_secs_f64() * 1000.0);
    }
    Ok(())
}

fn once(token: &SingleThread, root: &Root, id: &str) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    fork::fork(token, |token| u8::from(enter(token, root, id).is_err()))?;
    // Worker and process, in either order.
    for _ in 0..2 {
        let (_, status) = wait(WaitOptions::empty())?.ok_or("no child ended")?;
        if status.exit_status() != Some(0) {
            return Err(format!("a child ended with {status:?}").into());
        }
    }
    Ok(began.elapsed())
}

fn enter(token: &SingleThread, root: &Root, id: &str) -> Result<(), Box<dyn Error>> {
    let mut process = container_process(root, id)?;
    process.args = vec!["/bin/true".to_owned()];
    exec(token, root, ExecRequest::new(id, process))?;
    Ok(())
}

//! Runs cases under runtimes and compares what is seen with what is expected.

use super::{Act, Case, Subject};
use crate::runtimes::Runtime;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What came of one case under one runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub runtime: &'static str,
    pub seen: String,
    pub passed: bool,
    /// What the runtime said on standard error.
    pub said: String,
}

/// Every case under every runtime, in the order given; `width` at a time.
pub fn all(cases: &[Case], runtimes: &[Runtime], width: usize) -> Vec<Vec<Verdict>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdicts: Vec<Verdict> = runtimes.iter().map(|runtime| one(case, *runtime)).collect();
                    done.lock().expect("no verdict panics").push((case.name, verdicts));
                }
            });
        }
    });
    let done = done.into_inner().expect("no verdict panics");
    let of = |case: &Case| done.iter().find(|(name, _)| *name == case.name).expect("every case ran").1.clone();
    cases.iter().map(of).collect()
}

/// One case under one runtime. A case that panics has failed.
pub fn one(case: &Case, runtime: Runtime) -> Verdict {
    let mut said = String::new();
    let seen = catch_unwind(AssertUnwindSafe(|| {
        let mut subject = Subject::new(runtime);
        let seen = observe(case, &mut subject, &mut said);
        let left = subject.leftovers();
        if left.is_empty() { seen } else { format!("{seen}\nleft: {left:?}") }
    }));
    let seen = seen.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap_or(&"?").to_string());
        if text.contains(crate::run::TOO_LONG) { "hangs".into() } else { format!("panic: {text}") }
    });
    Verdict { runtime: runtime.0, passed: seen.trim_end() == case.expected.trim_end(), seen, said }
}

fn observe(case: &Case, subject: &mut Subject, said: &mut String) -> String {
    match case.act {
        Act::Run(change, script) => {
            subject.script(script);
            change(&mut subject.bundle);
            let output = subject.run();
            *said = output.stderr;
            let end = if output.code == 0 { String::new() } else { format!("exit {}\n", output.code) };
            output.stdout + &end
        }
        Act::Refused(change) => {
            subject.script("echo started");
            change(&mut subject.bundle);
            let output = subject.run();
            *said = output.stderr;
            if output.code != 0 && output.stdout.is_empty() { "refused".into() } else { "ran".into() }
        }
        Act::Life(life) => life(subject),
    }
}

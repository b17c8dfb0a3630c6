//! What the demo prints: a line for each layer, with the time it took.

use std::io::Write;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Lines {
    began: Instant,
    last: Instant,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines { began: Instant::now(), last: Instant::now() }
    }
}

impl Lines {
    /// Prints what a layer did since the last line.
    pub(super) fn say(&mut self, layer: &str, what: impl AsRef<str>) {
        let seconds = self.last.elapsed().as_secs_f64();
        print(&format!("{layer:<14} {seconds:7.3} s  {}", what.as_ref()));
        self.last = Instant::now();
    }

    /// Prints a line of a program's output under the last layer's line.
    pub(super) fn quote(&self, command: &str, output: &str) {
        print(&format!("{:27}{command}", "$ "));
        for line in output.lines() {
            print(&format!("{:27}{line}", ""));
        }
    }

    pub(super) fn total(&self) {
        print(&format!("{:<14} {:7.3} s", "total", self.began.elapsed().as_secs_f64()));
    }
}

fn print(line: &str) {
    // A closed pipe must not end the demo before it has put everything away.
    drop(writeln!(std::io::stdout(), "{line}"));
}

//! Waits for a quiet machine. Medians of a noisy machine compare nothing.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_millis(60);
/// One jiffy is what looking costs.
const BUSY_JIFFIES: u64 = 1;
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the machine was quiet at once, had to be waited for, and did not become quiet.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Gate {
    pub checks: u32,
    pub waited: u32,
    pub noisy: u32,
}

impl Gate {
    /// Sleeps until no core worked for 60 ms, at most two seconds. The sleep is also the idle gap between two runs, without
    /// which some costs of the kernel (grace periods) do not show.
    pub fn wait(&mut self) {
        self.checks += 1;
        let began = Instant::now();
        let mut first = true;
        loop {
            let before = busy();
            std::thread::sleep(WINDOW);
            if busy().saturating_sub(before) <= BUSY_JIFFIES {
                self.waited += u32::from(!first);
                return;
            }
            if began.elapsed() > PATIENCE {
                self.noisy += 1;
                return;
            }
            first = false;
        }
    }
}

/// Jiffies that all cores together were not idle, from the first line of `/proc/stat`.
fn busy() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user nice system [idle iowait] irq softirq steal; guest time is already in user time.
    fields.take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).filter_map(|(_, n)| n.parse::<u64>().ok()).sum()
}

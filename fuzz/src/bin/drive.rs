//! `drive TARGET SECONDS`: random inputs on a stable compiler, where cargo-fuzz cannot be had. The input of a panic is left
//! in the file that is named.

use std::io::Write;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("usage: drive TARGET SECONDS")?;
    let seconds: u64 = args.next().ok_or("usage: drive TARGET SECONDS")?.parse()?;
    let known = plimsoll_fuzz::TARGETS.iter().find(|(target, _)| *target == name);
    let (_, body) = known.ok_or("no such target")?;
    let file = std::env::temp_dir().join(format!("{name}.input"));
    let (mut state, mut runs) = (Instant::now().elapsed().as_nanos() as u64 | 0x9e37_79b9_7f4a_7c15, 0_u64);
    state ^= u64::from(std::process::id()) << 32;
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let mut next = || {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let length = next() % 96;
        let input: Vec<u8> = (0..length).map(|_| (next() >> 24) as u8).collect();
        if let Err(panic) = std::panic::catch_unwind(|| body(&input)) {
            std::fs::write(&file, &input)?;
            writeln!(std::io::stderr(), "run {runs}: the input is in {}", file.display())?;
            std::panic::resume_unwind(panic);
        }
        runs += 1;
    }
    writeln!(std::io::stdout(), "{name}: {runs} inputs")?;
    Ok(())
}

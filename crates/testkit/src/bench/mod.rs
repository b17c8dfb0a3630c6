//! `./dev bench`: our programs and the peers measured in one run, on a machine that is checked to be quiet before each round.

pub mod anatomy;
pub mod contender;
pub mod crowd;
pub mod exec;
pub mod gate;
pub mod layout;
pub mod memory;
pub mod start;
pub mod table;
pub mod timed;

//! `./dev bench`: our programs and the peers measured in one run, on a machine that is checked to be quiet before each round.

pub mod gate;
pub mod memory;
pub mod start;
pub mod table;

//! Development only: what tests share. Never linked into a program.

pub mod descriptors;

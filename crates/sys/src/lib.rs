//! Safe, typed Linux. The only crate with unsafe code: one file per concern, each `unsafe` with the invariant it rests on.

#![allow(unsafe_code)]

pub mod netns;
pub mod seccomp;

//! What the targets of the runtime do with their bytes. `drive` calls the same on a stable compiler.

pub mod config_plan;
pub mod mutate;
pub mod paths;
pub mod profile;
pub mod state_file;
pub mod user;

/// The bodies by the names of their targets.
pub const TARGETS: [(&str, fn(&[u8])); 5] = [
    ("config_plan", config_plan::body),
    ("paths", paths::body),
    ("profile", profile::body),
    ("state_file", state_file::body),
    ("user", user::body),
];
